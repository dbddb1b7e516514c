import BackupFormat
import HostFiles

/// Lets several threads use a disk one operation at a time, in the order that a test chooses, as processes might come out.
final class Turnstile: Sendable {
    struct State {
        var waiting: Set<Int> = []
        var finished: Set<Int> = []
        var granted: Int?
        var steps: [Int: Int] = [:]
        /// What each waiting actor would do.
        var next: [Int: String] = [:]
        var isKilled = false
    }

    private let state = ConditionLock(State())
    private let actors: Int

    init(actors: Int) { self.actors = actors }

    /// Waits for this actor's turn. Called before each operation, and so at the end of the one before.
    func enter(_ actor: Int, _ operation: String) throws(HostFilesError) {
        state.withLock { state in
            state.next[actor] = operation
            state.waiting.insert(actor)
        }
        let killed = state.wait { state -> Bool? in
            if state.isKilled { return true }
            if state.granted == actor {
                state.granted = nil
                state.waiting.remove(actor)
                return false
            }
            return nil
        }
        if killed { throw HostFilesError(.io, "go on", detail: "killed") }
    }

    func finish(_ actor: Int) { state.withLock { _ = $0.finished.insert(actor) } }

    /// Every other use fails from now on: the processes are killed.
    func kill() { state.withLock { $0.isKilled = true } }

    /// Once nobody runs: those who wait for a turn, sorted.
    func ready() -> [Int] {
        state.wait { state -> [Int]? in
            guard state.granted == nil, state.waiting.union(state.finished).count == actors else { return nil }
            return state.waiting.subtracting(state.finished).sorted()
        }
    }

    /// Lets `actor` do one operation, and waits until it wants the next, or ends.
    func step(_ actor: Int) {
        state.withLock { state in
            state.granted = actor
            state.steps[actor, default: 0] += 1
        }
        _ = ready()
    }

    /// What a waiting actor does next, in words.
    func next(_ actor: Int) -> String { state.withLock { $0.next[actor] ?? "" } }

    func steps(_ actor: Int) -> Int { state.withLock { $0.steps[actor] ?? 0 } }
}

/// One actor's view of a disk behind a ``Turnstile``.
struct SteppedDisk: Disk {
    let disk: SimulatedDisk
    let turnstile: Turnstile
    let actor: Int

    private func stepped<R>(_ operation: String, _ body: () throws(HostFilesError) -> R) throws(HostFilesError) -> R {
        try turnstile.enter(actor, operation)
        return try body()
    }

    func openForReading(_ path: RawPath) throws(HostFilesError) -> any DiskFile {
        try stepped("openForReading \(path)") { () throws(HostFilesError) in try disk.openForReading(path) }
    }
    func openForUpdating(_ path: RawPath) throws(HostFilesError) -> any DiskFile {
        try stepped("openForUpdating \(path)") { () throws(HostFilesError) in try disk.openForUpdating(path) }
    }
    func createExclusively(_ path: RawPath, expectedBytes: Int) throws(HostFilesError) -> any DiskFile {
        try stepped("createExclusively \(path)") { () throws(HostFilesError) in
            try disk.createExclusively(path, expectedBytes: expectedBytes)
        }
    }
    func rename(_ from: RawPath, to: RawPath) throws(HostFilesError) {
        try stepped("rename \(from) to \(to)") { () throws(HostFilesError) in try disk.rename(from, to: to) }
    }
    func exchange(_ a: RawPath, _ b: RawPath) throws(HostFilesError) {
        try stepped("exchange \(a) with \(b)") { () throws(HostFilesError) in try disk.exchange(a, b) }
    }
    func unlink(_ path: RawPath) throws(HostFilesError) {
        try stepped("unlink \(path)") { () throws(HostFilesError) in try disk.unlink(path) }
    }
    func makeDirectory(_ path: RawPath) throws(HostFilesError) {
        try stepped("makeDirectory \(path)") { () throws(HostFilesError) in try disk.makeDirectory(path) }
    }
    func removeDirectory(_ path: RawPath) throws(HostFilesError) {
        try stepped("removeDirectory \(path)") { () throws(HostFilesError) in try disk.removeDirectory(path) }
    }
    func list(_ path: RawPath) throws(HostFilesError) -> [RawPath] {
        try stepped("list \(path)") { () throws(HostFilesError) in try disk.list(path) }
    }
    func status(_ path: RawPath) throws(HostFilesError) -> DiskStatus? {
        try stepped("status \(path)") { () throws(HostFilesError) in try disk.status(path) }
    }
    // Nothing that another process can see: no turn of their own.
    func syncDirectory(_ path: RawPath) throws(HostFilesError) { try disk.syncDirectory(path) }
    func freeBytes(_ path: RawPath) throws(HostFilesError) -> Int { try disk.freeBytes(path) }
}
