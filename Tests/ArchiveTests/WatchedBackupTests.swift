import Archive
import BackupFormat
import Glibc
import HostFiles
import TestSupport
import Testing

/// A source that is watched, and backed up by what the watch tells.
private final class WatchedWorld {
    enum Method: String, CaseIterable, CustomStringConvertible {
        case fanotify, inotify
        var description: String { rawValue }
    }

    let world = StoreWorld()
    let store: ArchiveStore
    let exclusions: Exclusions
    let method: Method
    var watch: any FolderWatch
    var changes = ChangedFolders(doubt: "the start")
    var base: BackupReport?
    private(set) var guided = 0
    private(set) var walked = 0

    init(_ method: Method, excluding patterns: [RawPath] = []) throws {
        self.method = method
        exclusions = Exclusions(patterns: patterns)
        store = try world.open(SimulatedDisk())
        watch = try WatchedWorld.watch(method, world.source, exclusions)
    }

    private static func watch(_ method: Method, _ source: RawPath, _ exclusions: Exclusions) throws -> any FolderWatch {
        let rules = ExclusionRules(exclusions.patterns)
        var scope = WatchScope(roots: [source])
        if !rules.isEmpty {
            scope = WatchScope(
                roots: [source],
                excludes: { folder, name, isFolder in rules.excludes(directory: folder, name: name, isDirectory: isFolder) })
        }
        return switch method {
        case .fanotify: try FanotifyWatch(scope)
        case .inotify: try InotifyWatch(scope)
        }
    }

    /// Takes in what was told so far; without `keeping`, it is lost, as when there is no room for it.
    func drain(keeping: Bool = true) throws {
        var isBroken = !keeping
        watch.drain(milliseconds: 0) { event in
            switch event {
            case .changed(let folder), .touched(let folder): if keeping { changes.note(folder) }
            case .appeared(let folder): if keeping { changes.note(folder, .everything) }
            case .doubt(let reason, let breaks):
                changes.doubt(reason)
                isBroken = isBroken || breaks
            }
        }
        guard isBroken else { return }
        changes.doubt("the watch began anew")
        watch = try WatchedWorld.watch(method, world.source, exclusions)
    }

    func request(_ changes: WatchedChanges? = nil) -> BackupRequest {
        var request = BackupRequest(paths: [world.source], exclusions: exclusions, host: "laptop", time: currentTime())
        request.changes = changes
        return request
    }

    /// As a running node does it: takes the changes in hand, and backs them up.
    func backUp() throws -> BackupReport {
        let taken = changes
        changes = ChangedFolders()
        var told: WatchedChanges?
        if let base = base?.snapshot, taken.isCertain {
            told = WatchedChanges(base: base, digest: request().digest, folders: taken, use: .instead)
        }
        let report = try store.backUp(request(told), progress: Progress()) { _ in }
        if report.isGuided { guided += 1 } else { walked += 1 }
        base = report
        return report
    }

    func entries(_ snapshot: SnapshotID?) throws -> [RawPath: TreeEntry] {
        var found: [RawPath: TreeEntry] = [:]
        let id = try #require(snapshot)
        try store.list(id, at: world.source, recursive: true, progress: Progress(), problem: { _ in }) { listed in
            var entry = listed.entry
            // Trees are compared by what is in them, which is listed too.
            if entry.type == .directory { entry.content = .none }
            found[listed.path] = entry
        }
        return found
    }

    /// Walks everything, and compares what that finds with the last snapshot.
    func requireSameAsWalk(_ what: String, counts: Bool = true) throws {
        let walk = try store.backUp(request(), progress: Progress()) { _ in }
        let (mine, whole) = (try entries(base?.snapshot), try entries(walk.snapshot))
        for (path, entry) in whole where mine[path] != entry {
            Issue.record("\(what): \(path): \(String(describing: mine[path])), should be \(entry)")
        }
        for path in mine.keys where whole[path] == nil { Issue.record("\(what): \(path) is not there any more") }
        let last = try #require(base)
        if counts {
            #expect([last.files, last.directories, last.bytes] == [walk.files, walk.directories, walk.bytes], "\(what): counts")
        }
        base = walk
    }
}

private let mayFanotify = (try? FanotifyWatch(WatchScope(roots: ["/tmp"]))) != nil

@Suite("Backups by a watch", .serialized) struct WatchedBackupTests {
    private static var methods: [WatchedWorld.Method] {
        if !mayFanotify { print("fanotify is not allowed here: only inotify is tested") }
        return mayFanotify ? WatchedWorld.Method.allCases : [.inotify]
    }

    private static let cases = methods.flatMap { method in (0..<6).map { (method, UInt64($0)) } }

    @Test("any sequence of changes, watched, gives the snapshot of a walk, also where events are lost", arguments: cases)
    fileprivate func anySequence(_ method: WatchedWorld.Method, _ seed: UInt64) throws {
        var choices = Choices(seed: seed &* 77)
        let excluding: [RawPath] = seed % 3 == 0 ? ["x1", "b/", "!/**/a/b"] : []
        let watched = try WatchedWorld(method, excluding: excluding)
        let edits = RandomEdits(watched.world.folder, seed: seed, links: excluding.isEmpty)
        for _ in 0..<60 { edits.edit() }
        for round in 0..<15 {
            for _ in 0..<(1 + choices.below(12)) {
                edits.edit()
                if choices.below(3) == 0 { try watched.drain() }
            }
            if choices.below(15) == 0 { try watched.drain(keeping: false) }
            try watched.drain()
            var report = try watched.backUp()
            if report.doubt != nil {
                watched.changes.doubt("links")
                report = try watched.backUp()
            }
            #expect(report.errorCount == 0)
            if report.isGuided { #expect(report.untold.isEmpty, "seed \(seed), round \(round): \(report.untold)") }
            try watched.requireSameAsWalk("seed \(seed), round \(round)")
        }
        #expect(watched.guided > 3)
    }

    @Test("what changes while backups run is in the next ones, and nothing is missed in the end", arguments: cases)
    fileprivate func duringBackups(_ method: WatchedWorld.Method, _ seed: UInt64) throws {
        let watched = try WatchedWorld(method)
        // A file with several names is a doubt nearly each time, and a doubt is settled by a walk.
        let edits = RandomEdits(watched.world.folder, seed: seed, links: seed % 4 == 0)
        for _ in 0..<60 { edits.edit() }
        var isWalkDue = false
        let isOver = ConditionLock(false)
        let editor = try #require(
            WorkerThread(name: "editor") {
                for _ in 0..<800 {
                    edits.edit()
                    usleep(300)
                }
                isOver.withLock { $0 = true }
            })
        func backUp() throws -> BackupReport {
            try watched.drain()
            let report = try watched.backUp()
            // As a running node does.
            for problem in report.errors { watched.changes.note(problem.path.parent) }
            isWalkDue = report.doubt != nil || isWalkDue && report.isGuided
            return report
        }
        while !isOver.withLock({ $0 }) { _ = try backUp() }
        editor.join()
        var report = try backUp()
        if isWalkDue {
            watched.changes.doubt("links")
            report = try backUp()
        }
        #expect(report.errorCount == 0)
        #expect(watched.guided > 3)
        // Files that come and go while they are counted are counted or not.
        try watched.requireSameAsWalk("seed \(seed)", counts: false)
    }

    @Test(
        "files made, renamed and removed as fast as the machine can: nothing is missed, in bounded memory, with or without room for the events",
        arguments: methods.flatMap { [($0, true), ($0, false)] })
    fileprivate func fileStorm(_ method: WatchedWorld.Method, _ listens: Bool) throws {
        let watched = try WatchedWorld(method)
        let source = watched.world.source.description
        for folder in 0..<FileStorm.folders { mkdir("\(source)/\(folder)", 0o755) }
        try watched.drain()
        _ = try watched.backUp()
        try watched.drain()
        watched.changes = ChangedFolders()
        let before = residentBytes()
        let isOver = ConditionLock(false)
        let storm = try #require(
            WorkerThread(name: "storm") {
                FileStorm.run(source, listens ? 30_000 : 20_000)
                isOver.withLock { $0 = true }
            })
        while !isOver.withLock({ $0 }) {
            if listens { try watched.drain() } else { usleep(10_000) }
        }
        storm.join()
        try watched.drain()
        #expect(residentBytes() - before < 64 << 20)
        #expect(watched.changes.folders.count <= ChangedFolders.foldersMax)
        if !listens { #expect(!watched.changes.isCertain, "these are more events than the kernel keeps") }
        _ = try watched.backUp()
        try watched.requireSameAsWalk("\(method), \(listens)")
    }
}

/// Files in some folders, of which one in fifty stays.
private enum FileStorm {
    static let folders = 50

    static func run(_ source: String, _ files: Int) {
        func path(_ number: Int) -> String { "\(source)/\(number % folders)/\(number)" }
        for number in 0..<files {
            let file = open(path(number), O_WRONLY | O_CREAT, 0o644)
            if file >= 0 { close(file) }
            rename(path(number), path(number) + "r")
            if number % 50 != 0 { unlink(path(number) + "r") }
        }
    }
}

/// What this process has in memory, in bytes.
private func residentBytes() -> Int {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var fields = [CChar](repeating: 0, count: 200)
    guard fgets(&fields, 200, file) != nil else { return 0 }
    let text = String(decoding: fields.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
}
