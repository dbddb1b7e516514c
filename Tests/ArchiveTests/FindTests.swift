import Archive
import BackupFormat
import Glibc
import HostFiles
import NameIndex
import TestSupport
import Testing

/// A source folder that is changed at random, backups of it, and what all snapshots hold by a walk of their trees.
private struct FindWorld {
    var world = StoreWorld()
    var disk = SimulatedDisk()
    var random: Choices
    var seconds: Int64 = 1_700_000_000

    init(seed: UInt64) { random = Choices(seed: seed) }

    /// One character a byte, as `TestFolder` takes them.
    private static let names = [
        "a", "ab", "mainWindow.swift", "caf\u{c3}\u{a9}", "b\u{ff}", "x.txt", "x-y z", "README.md", "\u{c3}",
    ]

    private mutating func path() -> String {
        var path = "s"
        for _ in 0...random.below(3) { path += "/" + (Self.names.randomElement(using: &random) ?? "a") }
        return path
    }

    mutating func edit() {
        for _ in 0..<random.below(8) {
            let path = path()
            switch random.below(6) {
            case 0:
                _ = withBytes(world.folder.path + "/" + path) { unlink($0) }
                removeTree(world.folder.path + "/" + path)
            case 1, 2: _ = withBytes(world.folder.path + "/" + path) { mkdir($0, 0o755) }
            default:
                let file = withBytes(world.folder.path + "/" + path) { open($0, O_WRONLY | O_CREAT | O_TRUNC, 0o644) }
                guard file >= 0 else { continue }
                let bytes = random.bytes(random.below(40))
                _ = bytes.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
                close(file)
                var times = [timespec](repeating: timespec(tv_sec: 0, tv_nsec: 0), count: 2)
                times[1] = timespec(tv_sec: 1_600_000_000 + random.below(4) * 86_400, tv_nsec: random.below(2) * 5)
                if random.below(2) == 0 { _ = withBytes(world.folder.path + "/" + path) { utimensat(AT_FDCWD, $0, times, 0) } }
            }
        }
    }

    mutating func backUp(_ store: ArchiveStore) throws {
        seconds += Int64(random.below(100))
        let paths = random.below(4) == 0 ? [RawPath(world.folder.path + "/s/a")] : [world.source]
        guard paths == [world.source] || world.folder.exists("s/a") else { return }
        let host = random.below(5) == 0 ? "desktop" : "laptop"
        let request = BackupRequest(paths: paths, exclusions: Exclusions(), host: host, time: seconds * 1_000_000_000)
        _ = try store.backUp(request, progress: Progress()) { _ in }
    }

    /// Every path of every snapshot, and the states it was in, the oldest first.
    func walk(_ store: ArchiveStore) throws -> [RawPath: [(snapshot: SnapshotID, state: NameState)]] {
        var all: [RawPath: [(snapshot: SnapshotID, state: NameState)]] = [:]
        for snapshot in try store.catalog().snapshots {
            try store.list(
                snapshot.id, at: nil, recursive: true, progress: Progress(), problem: { Issue.record("\($0)") },
                each: { listed in
                    let entry = listed.entry
                    let state = NameState(type: entry.type, size: entry.size, modified: entry.modified)
                    all[listed.path, default: []].append((snapshot.id, state))
                })
        }
        return all
    }

    /// Everything that the filter lets through.
    func everything(_ store: ArchiveStore, _ filter: NameFilter = NameFilter()) throws -> [NameMatch] {
        try store.updateNames(
            waitingMilliseconds: 0, now: seconds, progress: Progress(), problem: { Issue.record("\($0)") })
        let search = try store.nameSearch(now: seconds * 1_000_000_000)
        // Each path has a slash.
        let query = try #require(NameQuery([0x2f]))
        return try #require(try search.run(query, filter, limit: NameSearch.limitMax))
    }

    /// The index says what the walk says, with a filter drawn at random.
    mutating func compare(_ store: ArchiveStore, _ what: String) throws {
        let walked = try walk(store)
        var filter = NameFilter()
        if random.below(3) == 0 { filter.types = [random.below(2) == 0 ? .file : .directory] }
        if random.below(4) == 0 { filter.sizeMin = UInt64(random.below(30)) }
        if random.below(4) == 0 { filter.sizeMax = UInt64(random.below(30)) }
        if random.below(4) == 0 { filter.newer = Timestamp(seconds: 1_600_000_000 + 86_400, nanoseconds: 5) }
        if random.below(4) == 0 { filter.older = Timestamp(seconds: 1_600_000_000 + 86_400, nanoseconds: 5) }
        if random.below(4) == 0 { filter.folder = RawPath(bytes: world.source.bytes + Array("/a".utf8)) }
        if random.below(3) == 0 {
            filter.snapshots = Set(try store.catalog().snapshots.map(\.id).filter { _ in random.below(3) == 0 })
        }
        var expected: [RawPath: [(snapshot: SnapshotID, state: NameState)]] = [:]
        for (path, versions) in walked {
            if let folder = filter.folder, path != folder, !path.bytes.starts(with: folder.bytes + [0x2f]) { continue }
            let fitting = versions.filter { version in
                let state = version.state
                return filter.types?.contains(state.type) ?? true && state.size >= filter.sizeMin ?? 0
                    && state.size <= filter.sizeMax ?? .max && filter.newer.map { state.modified >= $0 } ?? true
                    && filter.older.map { state.modified < $0 } ?? true && filter.snapshots?.contains(version.snapshot) ?? true
            }
            if !fitting.isEmpty { expected[path] = fitting }
        }
        let found = try everything(store, filter)
        #expect(Set(found.map(\.path)) == Set(expected.keys), "\(what), \(filter)")
        #expect(found.count == expected.count, "\(what): each path once")
        for match in found {
            let versions = try #require(expected[match.path])
            #expect(match.snapshots == versions.map(\.snapshot), "\(what): \(match.path)")
            #expect(match.state == versions.last?.state, "\(what): \(match.path)")
        }
    }

    var indexFiles: [RawPath] {
        (try? disk.list("/home/ledger/names"))?.map { RawPath("/home/ledger/names").appending($0) } ?? []
    }

    /// Changes one byte of one file of the index.
    mutating func damage() throws -> String {
        guard let path = indexFiles.randomElement(using: &random), let size = try disk.status(path)?.size, size > 0 else {
            return ""
        }
        let file = try disk.openForUpdating(path)
        let place = random.below(size)
        var byte: [UInt8] = [0]
        _ = try byte.withUnsafeMutableBytes { try file.read(at: place, into: $0) }
        try file.write(at: place, [byte[0] ^ UInt8(1 << random.below(8))])
        return "byte \(place) of \(path)"
    }

    /// As a node searches: an index that turns out to be damaged is made anew.
    mutating func compareAfterDamage(_ store: ArchiveStore, _ what: String) throws {
        let before = random
        do { try compare(store, what) } catch let error as ArchiveError where error.code == .damaged {
            try store.resetNames(waitingMilliseconds: 0)
            random = before
            try compare(store, what)
        } catch let error as NameIndexError where error.code == .damaged {
            try store.resetNames(waitingMilliseconds: 0)
            random = before
            try compare(store, what)
        }
    }
}

@Suite("The name index") struct FindTests {
    @Test(
        "says what a walk of all trees says, after any edits, backups and forgets, after merges, loss and damage of its files",
        arguments: 0..<12 as Range<UInt64>)
    func sameAsWalk(_ seed: UInt64) throws {
        var world = FindWorld(seed: seed)
        let store = try world.world.open(world.disk)
        for step in 0..<14 {
            world.edit()
            try world.backUp(store)
            if world.random.below(2) == 0 { try world.compare(store, "seed \(seed), step \(step)") }
            switch world.random.below(6) {
            case 0:
                let all = try store.catalog().snapshots.map(\.id)
                try store.forget(all.filter { _ in world.random.below(3) == 0 })
                if world.random.below(2) == 0 {
                    _ = try store.sweep(dryRun: false, graceSeconds: 0, nowSeconds: 0, progress: Progress())
                }
            case 1:
                if let lost = world.indexFiles.randomElement(using: &world.random) { try world.disk.unlink(lost) }
                try world.compareAfterDamage(store, "seed \(seed), step \(step), after a loss")
            case 2:
                let what = try world.damage()
                try world.compareAfterDamage(store, "seed \(seed), step \(step), after damage of \(what)")
            default: break
            }
        }
        // From nothing, in one go.
        for path in world.indexFiles { try world.disk.unlink(path) }
        try world.compare(store, "seed \(seed), made anew")
    }

    @Test("many backups leave few files, and none that nothing names")
    func merges() throws {
        var world = FindWorld(seed: 1)
        let store = try world.world.open(world.disk)
        var most = 0
        for _ in 0..<60 {
            world.edit()
            try world.backUp(store)
            _ = try world.everything(store)
            most = max(most, world.indexFiles.count)
        }
        #expect((2...8).contains(most), "\(most) files")
        try world.compare(store, "at the end")
        // Snapshots that were forgotten go when there are many of them, and their names with them.
        let all = try store.catalog().snapshots.map(\.id)
        try store.forget(Array(all.dropLast(2)))
        try world.compare(store, "after forgetting most")
    }

    @Test("a path is deleted when the newest snapshots of all lines lack it")
    func deleted() throws {
        var world = FindWorld(seed: 2)
        let store = try world.world.open(world.disk)
        world.world.folder.write("s/kept", [1])
        world.world.folder.write("s/gone", [1])
        func backUp() throws {
            world.seconds += 10
            try world.world.backUp(store, at: world.seconds)
        }
        try backUp()
        #expect(try world.everything(store).allSatisfy { !$0.isDeleted })
        unlink(world.world.folder.path + "/s/gone")
        try backUp()
        let found = try world.everything(store)
        let deleted = found.filter(\.isDeleted)
        #expect(deleted.map { $0.path.bytes.suffix(5) } == [Array("/gone".utf8)[...]])
        #expect(deleted.first?.snapshots.count == 1)
        #expect(found.first { $0.path.bytes.suffix(5).elementsEqual("/kept".utf8) }?.snapshots.count == 2)
    }

    @Test("a backup whose index cannot be written is a backup all the same, and the index follows")
    func fullDisk() throws {
        var world = FindWorld(seed: 3)
        let store = try world.world.open(world.disk)
        world.edit()
        try world.backUp(store)
        world.disk.faults.capacityBytes = 0
        #expect(throws: ArchiveError.self) { try world.everything(store) }
        world.disk.faults.capacityBytes = nil
        try world.compare(store, "once there is room")
    }

    @Test("a crash at any operation of the index leaves one that is right, or is made anew")
    func crashes() throws {
        var world = FindWorld(seed: 4)
        world.world.folder.makeFolder("s/a")
        for name in ["one", "two", "three"] { world.world.folder.write("s/a/" + name, [1]) }
        let store = try world.world.open(world.disk)
        try world.world.backUp(store, at: world.seconds)
        _ = try world.everything(store)
        world.world.folder.write("s/a/four", [1])
        world.seconds += 10
        try world.world.backUp(store, at: world.seconds)
        let whole = SimulatedDisk(copying: world.disk)
        func update(_ disk: SimulatedDisk) throws -> ArchiveStore {
            let store = try world.world.open(disk)
            try store.updateNames(waitingMilliseconds: 0, now: world.seconds, progress: Progress(), problem: { _ in })
            return store
        }
        let before = whole.operations
        _ = try update(whole)
        let operations = whole.operations - before
        #expect(operations > 5)
        for operation in 0..<operations {
            let disk = SimulatedDisk(copying: world.disk)
            disk.faults.crashAtOperation = disk.operations + operation
            _ = try? update(disk)
            disk.restart(seed: UInt64(operation))
            var again = FindWorld(seed: 5, like: world, disk)
            try again.compareAfterDamage(try again.world.open(disk), "crash at \(operation)")
        }
    }

    @Test("a write-only device has no index, and says where to look")
    func writeOnly() throws {
        let world = StoreWorld()
        let identity = ArchiveIdentity(
            keys: world.owner.publisherKeys, owner: nil, node: world.node, certificate: world.identity.certificate)
        let disk = SimulatedDisk()
        let store = try ArchiveStore(
            vault: try world.open(disk).vault, disk: disk, ledgerDirectory: "/home/ledger",
            scratchDirectory: RawPath(world.folder.path), identity: identity,
            plan: MemoryPlan(memoryBytes: MemoryPlan.memoryBytesMin, processors: 2))
        #expect(throws: ArchiveError.self) {
            try store.updateNames(waitingMilliseconds: 0, now: 0, progress: Progress(), problem: { _ in })
        }
        #expect(try disk.status("/home/ledger/names") == nil)
    }
}

extension FindWorld {
    init(seed: UInt64, like other: FindWorld, _ disk: SimulatedDisk) {
        self.init(seed: seed)
        self.world = other.world
        self.disk = disk
        seconds = other.seconds
    }
}
