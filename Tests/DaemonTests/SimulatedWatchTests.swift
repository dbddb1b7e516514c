import Archive
import BackupFormat
import BackupNode
import Cryptography
import Daemon
import Glibc
import HostFiles
import TestSupport
import Testing
import Vault

/// One watched set as the running node treats it, on a disk in memory: what the watch tells goes into a ``ContinuousPlan``, and what
/// that asks for is backed up, by way of the bytes that the node and its `backup` hand each other. Time is a number.
private final class WatchedNode {
    let source: SimulatedSource
    var choices: Choices
    var plan = ContinuousPlan()
    private(set) var now: Int64 = 0
    private(set) var guided = 0
    private(set) var walked = 0
    private(set) var failed = 0
    private let owner = OwnerKey.generate()
    private let node = NodeKey.generate()
    private let disk = SimulatedDisk(keepsLog: false)
    private var store: ArchiveStore?
    private var last: SnapshotID?

    init(seed: UInt64) {
        source = SimulatedSource(seed: seed &* 31 &+ 5)
        choices = Choices(seed: seed)
    }

    private func open(_ disk: SimulatedDisk) throws -> ArchiveStore {
        let certificate = owner.certify(node, name: "laptop", permissions: .all, serial: 1)
        let vault = try Vault(disk: disk, directory: "/home/vault", owner: owner.id, create: true)
        return try ArchiveStore(
            vault: vault, disk: disk, ledgerDirectory: "/home/ledger", scratchDirectory: RawPath(source.folder),
            identity: ArchiveIdentity(keys: owner.publisherKeys, owner: owner, node: node, certificate: certificate),
            plan: MemoryPlan(memoryBytes: MemoryPlan.memoryBytesMin, processors: 1))
    }

    /// As a process of its own would open it.
    private func opened() throws -> ArchiveStore {
        if let store { return store }
        let made = try open(disk)
        store = made
        return made
    }

    private func request() -> BackupRequest {
        BackupRequest(paths: [source.root], exclusions: Exclusions(), host: "laptop", time: currentTime())
    }

    func pass(_ milliseconds: Int64) { now += milliseconds }

    func edit(_ times: Int) {
        for _ in 0..<times {
            source.edit()
            // The node reads while things happen.
            if choices.below(6) == 0 { gatherSome() }
        }
    }

    private func gatherSome() { _ = source.wait(milliseconds: 0) { plan.note($0, at: now) } }
    func gather() { source.drain(milliseconds: 0) { plan.note($0, at: now) } }

    /// Things happen for which there is no room.
    func overflow() {
        let (room, before) = (source.queueMax, source.overflows)
        source.queueMax = 0
        while source.overflows == before { edit(1) }
        source.queueMax = room
    }

    /// A watch that broke, and the next one.
    func breakWatch() {
        plan.note(.doubt("something was mounted", isBroken: true), at: now)
        source.forgetAll()
        plan.doubt("a new watch")
    }

    /// The node is killed and started again: it knows nothing any more.
    func restart() {
        source.forgetAll()
        plan = ContinuousPlan()
        store = nil
    }

    /// Does what is due, if anything is; whether something was. `isCalm`: it ends well.
    func step(isCalm: Bool = false) throws -> Bool {
        gather()
        guard let due = plan.due(at: now) else { return false }
        let guide = try BackupGuide(decoding: due.encode())
        if !isCalm { edit(choices.below(3)) }
        switch isCalm ? 9 : choices.below(10) {
        case 0:
            // It could not be started.
            fail()
        case 1:
            // It is killed somewhere, or the power goes.
            disk.faults.crashAtOperation = disk.operations + choices.below(30)
            let outcome = try? backUp(guide)
            disk.restart(seed: choices.next())
            disk.faults.crashAtOperation = nil
            store = nil
            gather()
            if let outcome { succeed(outcome) } else { fail() }
        case 2:
            // It is killed after the commit, before it has answered.
            _ = try backUp(guide)
            fail()
        default:
            let outcome = try backUp(guide)
            if !isCalm { edit(choices.below(3)) }
            gather()
            succeed(outcome)
        }
        return true
    }

    private func fail() {
        failed += 1
        plan.failed(at: now)
    }

    private func backUp(_ guide: BackupGuide) throws -> GuidedOutcome {
        var request = request()
        request.changes = guide.changes
        let report = try opened().backUp(request, progress: Progress()) { _ in }
        let id = try #require(report.snapshot)
        return try GuidedOutcome(decoding: GuidedOutcome(report, id, digest: request.digest).encode())
    }

    private func succeed(_ outcome: GuidedOutcome) {
        if outcome.isGuided { guided += 1 } else { walked += 1 }
        now += Int64(choices.below(20))
        plan.succeeded(outcome, at: now)
        last = outcome.snapshot
    }

    /// Nothing happens any more, until all is backed up.
    func settle() throws {
        for _ in 0..<200 {
            if try step(isCalm: true) { continue }
            if !plan.hasChanges, plan.pending.isCertain { return }
            now += 30_000
        }
        Issue.record("there is no end: \(plan.pending)")
    }

    /// How the last snapshot differs from the one of a node that reads everything for the first time: in what bytes of its trees.
    func differences() throws -> [String] {
        let other = try open(SimulatedDisk(keepsLog: false))
        let walk = try #require(other.backUp(request(), progress: Progress()) { _ in }.snapshot)
        let (store, guided) = (try opened(), try #require(last))
        let (mine, whole) = (try entries(store, guided), try entries(other, walk))
        func describe(_ entry: TreeEntry?) -> String { entry.map { "\($0)" } ?? "nothing" }
        var found = Set(mine.keys).union(whole.keys).sorted().compactMap { path in
            mine[path] == whole[path] ? nil : "\(path): \(describe(mine[path])), should be \(describe(whole[path]))"
        }
        let (a, b) = (try contents(store, guided), try contents(other, walk))
        let counts = [[a.files, a.directories, a.bytes, a.problemCount], [b.files, b.directories, b.bytes, b.problemCount]]
        if counts[0] != counts[1] { found.append("counts: \(counts[0]), should be \(counts[1])") }
        return found
    }

    /// The source and all that is in it: of a folder also the key of its tree, which is made of the tree's bytes.
    private func entries(_ store: ArchiveStore, _ snapshot: SnapshotID) throws -> [RawPath: TreeEntry] {
        var found: [RawPath: TreeEntry] = [:]
        for recursive in [false, true] {
            let place = recursive ? source.root : source.root.parent
            try store.list(snapshot, at: place, recursive: recursive, progress: Progress(), problem: { Issue.record("\($0)") }) {
                var entry = $0.entry
                if source.hasLinks {
                    // A name that a file had for a while, elsewhere, has changed its time, of which nothing tells.
                    if entry.type == .directory {
                        entry.content = .none
                    } else {
                        entry.changed = Timestamp(seconds: 0, nanoseconds: 0)
                    }
                }
                found[$0.path] = entry
            }
        }
        return found.filter { $0.key.isWithin(source.root) }
    }

    private func contents(_ store: ArchiveStore, _ snapshot: SnapshotID) throws -> SnapshotContents {
        let record = try store.vault.snapshotRecord(snapshot)
        return try owner.open(record.sealed).withUnsafeBytes { try SnapshotContents(decoding: $0) }
    }
}

/// How many times as many seeds are tried.
private let scale = getenv("BAKARE_TEST_SCALE").flatMap { Int(String(cString: $0)) } ?? 1

@Suite("A watch without a kernel") struct SimulatedWatchTests {
    @Test(
        "any sequence of changes, told of as badly as may be, with backups that fail and are killed, gives byte for byte what a walk finds",
        arguments: 0..<UInt64(60 * scale))
    func anySequence(_ seed: UInt64) throws {
        let node = WatchedNode(seed: seed)
        node.source.hasLinks = seed % 4 == 3
        if seed % 3 == 0 { node.source.queueMax = 2 + node.choices.below(4) }
        node.source.isSilent = true
        node.edit(60)
        node.source.isSilent = false
        for round in 0..<4 {
            if round == 1 { node.overflow() }
            for _ in 0..<(3 + node.choices.below(10)) {
                node.edit(node.choices.below(8))
                node.pass(Int64(node.choices.below(4000)))
                _ = try node.step()
                switch node.choices.below(60) {
                case 0: node.breakWatch()
                case 1: node.restart()
                case 2: node.pass(86_400_000)
                default: break
                }
                if node.source.hasLinks { continue }
                #expect(node.plan.missed == nil, "seed \(seed), round \(round): \(String(describing: node.plan.missed))")
            }
            try node.settle()
            #expect(try node.differences() == [], "seed \(seed), round \(round)")
        }
        #expect(node.guided > 0 && node.walked > 0)
    }

    @Test("what happens and is told to nobody is found by the walk of the day, which says so", arguments: 0..<UInt64(20 * scale))
    func silence(_ seed: UInt64) throws {
        let node = WatchedNode(seed: seed)
        // Who writes to a file under another of its names is told of there alone: that says nothing of the watch.
        node.source.hasLinks = false
        node.edit(60)
        try node.settle()
        node.source.isSilent = true
        let before = node.source.state()
        while node.source.state() == before { node.edit(1) }
        node.source.isSilent = false
        node.pass(60_000)
        #expect(try !node.step(isCalm: true))
        #expect(try !node.differences().isEmpty)
        node.pass(86_400_000)
        #expect(try node.step(isCalm: true))
        #expect(node.plan.missed != nil)
        try node.settle()
        #expect(try node.differences() == [])
    }
}
