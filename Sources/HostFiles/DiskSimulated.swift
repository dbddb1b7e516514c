package import BackupFormat
internal import Synchronization

/// A disk in memory that fails on purpose: full, or cut off at any operation with only what was synced left, or rotten.
///
/// After a crash, each name change that was not synced has happened or not, each unsynced write has reached the device
/// wholly, in part or not at all, as the seed says; changes of one name stay in order, and a rename is atomic.
package final class SimulatedDisk: Disk {
    /// What the disk does wrong.
    package struct Faults: Sendable {
        /// The operation at which power goes: it and all later ones fail, until ``SimulatedDisk/restart(seed:)``.
        package var crashAtOperation: Int?
        /// The operation from which on everything that needs space fails.
        package var fullFromOperation: Int?
        /// File bytes that fit; with no room left no name fits either.
        package var capacityBytes: Int?
        /// One in so many operations fails, for no reason that lasts.
        package var errorOneIn: Int?

        package init(crashAtOperation: Int? = nil, fullFromOperation: Int? = nil, capacityBytes: Int? = nil) {
            self.crashAtOperation = crashAtOperation
            self.fullFromOperation = fullFromOperation
            self.capacityBytes = capacityBytes
        }
    }

    private let state: Mutex<SimulatedDiskState>
    private let visitor = Mutex(Visitor())

    private struct Visitor: Sendable {
        var call: (@Sendable (RawPath) -> Int64)?
    }

    /// Without `keepsLog`, ``log`` stays empty. `seed` is for ``Faults/errorOneIn``.
    package init(keepsLog: Bool = true, seed: UInt64 = 0) { state = Mutex(SimulatedDiskState(keepsLog: keepsLog, seed: seed)) }

    /// A disk that holds what `other` holds now, and goes its own way.
    package init(copying other: SimulatedDisk) { state = Mutex(other.state.withLock { $0 }) }

    /// What to do wrong from now on. Operations are those that change or sync something, counted from 0.
    package var faults: Faults {
        get { state.withLock { $0.faults } }
        set { state.withLock { $0.faults = newValue } }
    }

    /// Operations so far that changed or synced something.
    package var operations: Int { state.withLock { $0.operations } }

    /// Another one after anything on the disk was changed, by operations, decay or a power cut.
    package struct Mark: Sendable, Hashable {
        fileprivate let operations: Int
        fileprivate let epoch: Int
        fileprivate let damages: Int
    }

    package var mark: Mark { state.withLock { Mark(operations: $0.operations, epoch: $0.epoch, damages: $0.damages) } }

    /// Those operations in words, oldest first.
    package var log: [String] { state.withLock { $0.log } }

    /// The clock that gives files their time, in seconds since 1970.
    package var now: Int64 {
        get { state.withLock { $0.now } }
        set { state.withLock { $0.now = newValue } }
    }

    /// Cuts the power, if that has not happened, and starts again with what the disk kept. Open files are gone.
    package func restart(seed: UInt64) { state.withLock { $0.restart(seed: seed) } }

    /// Cuts the power now.
    package func cutPower() { state.withLock { $0.cutPower() } }

    package var hasPower: Bool { state.withLock { !$0.hasCrashed } }

    /// Calls `body` before each operation on a name, with nothing held: a simulation lets other threads run there. It answers what time it is,
    /// as ``now``.
    package func visit(_ body: @escaping @Sendable (RawPath) -> Int64) { visitor.withLock { $0.call = body } }

    private func visited(_ path: RawPath) {
        let visitor = visitor.withLock { $0 }
        if let now = visitor.call?(path) { self.now = now }
    }

    /// Bytes of all files.
    package var usedBytes: Int { state.withLock { $0.usedBytes } }

    /// Every file under `path` with its bytes, sorted.
    package func files(under path: RawPath) -> [(path: RawPath, bytes: [UInt8])] {
        state.withLock { state in state.files(under: path) }
    }

    /// Changes the bytes of a file as decay would: no operation, at once on the device.
    package func damage(_ path: RawPath, _ body: (inout [UInt8]) -> Void) {
        state.withLock { state in
            guard case .some(let node) = try? state.lookUp(path, "damage") else { return }
            var bytes = state.nodes[node].bytes
            body(&bytes)
            state.setBytes(of: node, bytes)
            state.nodes[node].durableBytes = bytes
            state.nodes[node].pending = []
            state.nodes[node].hasLostWrites = false
            state.damages += 1
        }
    }

    package func openForReading(_ path: RawPath) throws(HostFilesError) -> any DiskFile {
        visited(path)
        return try locked { state throws(HostFilesError) in
            let node = try state.file(path, "open")
            state.nodes[node].handles += 1
            return SimulatedFile(self, node, state.epoch, path)
        }
    }

    package func openForUpdating(_ path: RawPath) throws(HostFilesError) -> any DiskFile { try openForReading(path) }

    package func createExclusively(_ path: RawPath, expectedBytes: Int) throws(HostFilesError) -> any DiskFile {
        visited(path)
        return try locked { state throws(HostFilesError) in
            let node = try state.add(path, isDirectory: false, "create")
            state.nodes[node].handles += 1
            return SimulatedFile(self, node, state.epoch, path)
        }
    }

    package func rename(_ from: RawPath, to: RawPath) throws(HostFilesError) {
        visited(from)
        try locked { state throws(HostFilesError) in try state.rename(from, to) }
    }

    package func exchange(_ a: RawPath, _ b: RawPath) throws(HostFilesError) {
        visited(a)
        try locked { state throws(HostFilesError) in try state.exchange(a, b) }
    }

    package func unlink(_ path: RawPath) throws(HostFilesError) {
        visited(path)
        try locked { state throws(HostFilesError) in try state.remove(path, isDirectory: false, "remove") }
    }

    package func makeDirectory(_ path: RawPath) throws(HostFilesError) {
        visited(path)
        try locked { state throws(HostFilesError) in _ = try state.add(path, isDirectory: true, "make the folder") }
    }

    package func removeDirectory(_ path: RawPath) throws(HostFilesError) {
        visited(path)
        try locked { state throws(HostFilesError) in try state.remove(path, isDirectory: true, "remove the folder") }
    }

    package func list(_ path: RawPath) throws(HostFilesError) -> [RawPath] {
        visited(path)
        return try locked { state throws(HostFilesError) in
            try state.directory(path, "list"); return try state.names(path)
        }
    }

    package func status(_ path: RawPath) throws(HostFilesError) -> DiskStatus? {
        visited(path)
        return try locked { state throws(HostFilesError) in
            guard let node = try state.lookUp(path, "look at") else { return nil }
            return state.status(node)
        }
    }

    package func syncDirectory(_ path: RawPath) throws(HostFilesError) {
        visited(path)
        try locked { state throws(HostFilesError) in try state.syncDirectory(path) }
    }

    package func freeBytes(_ path: RawPath) throws(HostFilesError) -> Int {
        try locked { state throws(HostFilesError) in state.freeBytes }
    }

    package func lock(_ directory: RawPath) throws(HostFilesError) -> (any DiskLock)? {
        try locked { state throws(HostFilesError) in
            let node = try state.directory(directory, "lock")
            guard state.locked.insert(node).inserted else { return nil }
            return SimulatedLock(self, node, state.epoch)
        }
    }

    /// Of a process that has ended since, the lock has ended with it.
    fileprivate func unlock(_ node: Int, _ epoch: Int) {
        state.withLock { state in if state.epoch == epoch { state.locked.remove(node) } }
    }

    fileprivate func closed(_ node: Int, _ epoch: Int) {
        state.withLock { state in
            guard state.epoch == epoch else { return }
            state.nodes[node].handles -= 1
            state.release(node)
        }
    }

    fileprivate func locked<R: Sendable>(
        _ body: (inout sending SimulatedDiskState) throws(HostFilesError) -> R
    ) throws(HostFilesError) -> R {
        // The lock's own generic error would lose its type, so the result is carried out as a value.
        let result: Result<R, HostFilesError> = state.withLock { state in
            do throws(HostFilesError) {
                try state.requirePower()
                return .success(try body(&state))
            } catch { return .failure(error) }
        }
        return try result.get()
    }
}

/// An open file of the ``SimulatedDisk``.
private final class SimulatedFile: DiskFile {
    private let disk: SimulatedDisk
    private let node: Int
    private let epoch: Int
    private let path: RawPath

    init(_ disk: SimulatedDisk, _ node: Int, _ epoch: Int, _ path: RawPath) {
        self.disk = disk
        self.node = node
        self.epoch = epoch
        self.path = path
    }

    deinit { disk.closed(node, epoch) }

    func close() {}

    private func locked<R: Sendable>(
        _ body: (inout SimulatedDiskState) throws(HostFilesError) -> R
    ) throws(HostFilesError) -> R {
        try disk.locked { state throws(HostFilesError) in
            guard state.epoch == epoch else { throw HostFilesError(.io, "use", path: path, detail: "opened before the crash") }
            return try body(&state)
        }
    }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(HostFilesError) -> Int {
        try locked { state throws(HostFilesError) in
            state.nodes[node].bytes.withUnsafeBytes { bytes in
                let start = min(offset, bytes.count)
                let found = UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + buffer.count, bytes.count)])
                if !found.isEmpty { buffer.copyMemory(from: found) }
                return found.count
            }
        }
    }

    func write(at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(HostFilesError) {
        let copy = Array(bytes)
        try locked { state throws(HostFilesError) in try state.write(node, path, offset, copy) }
    }

    func truncate(to size: Int) throws(HostFilesError) {
        try locked { state throws(HostFilesError) in try state.truncate(node, path, size) }
    }

    func sync() throws(HostFilesError) {
        try locked { state throws(HostFilesError) in try state.sync(node, path) }
    }

    func size() throws(HostFilesError) -> Int {
        try locked { state throws(HostFilesError) in state.nodes[node].bytes.count }
    }
}

/// A directory of the ``SimulatedDisk`` that somebody has taken.
private final class SimulatedLock: DiskLock {
    private let disk: SimulatedDisk
    private let node: Int
    private let epoch: Int
    private let isHeld = Mutex(true)

    init(_ disk: SimulatedDisk, _ node: Int, _ epoch: Int) {
        self.disk = disk
        self.node = node
        self.epoch = epoch
    }

    deinit { release() }

    func release() {
        let wasHeld = isHeld.withLock { isHeld in
            defer { isHeld = false }
            return isHeld
        }
        if wasHeld { disk.unlock(node, epoch) }
    }
}
