import Archive
import BackupFormat
import BackupNode
import Daemon
import HostFiles
import TestSupport
import Testing

private func outcome(
    guided: Bool, _ number: UInt64, untold: [RawPath] = [], doubt: String? = nil, again: [RawPath] = []
) -> GuidedOutcome {
    var report = BackupReport()
    report.isGuided = guided
    report.untold = untold
    report.untoldCount = untold.count
    report.doubt = doubt
    report.errors = again.map { FileProblem(path: $0, operation: "read", reason: "test") }
    report.errorCount = again.count
    return GuidedOutcome(report, SnapshotID(Bytes32(words: (number, 0, 0, 0))), digest: Bytes32(words: (7, 7, 7, 7)))
}

/// A plan whose first walk is done, at 1,000 milliseconds.
private func walkedPlan() throws -> ContinuousPlan {
    var plan = ContinuousPlan()
    let due1 = plan.due(at: 0)
    let first = try #require(due1)
    #expect(first.changes == nil)
    #expect(plan.due(at: 500) == nil, "one at a time")
    plan.succeeded(outcome(guided: false, 1), at: 1000)
    return plan
}

@Suite("A plan of continuous backups") struct ContinuousPlanTests {
    @Test("begins with a walk, then reads a changed folder a quiet second after its last change")
    func quietMoment() throws {
        var plan = try walkedPlan()
        #expect(plan.due(at: 60_000) == nil)
        plan.note(.changed("/s/a"), at: 60_000)
        plan.note(.changed("/s/a"), at: 60_700)
        #expect(plan.due(at: 61_600) == nil)
        let due2 = plan.due(at: 61_700)
        let guide = try #require(due2?.changes)
        #expect(guide.use == .instead && guide.base == SnapshotID(Bytes32(words: (1, 0, 0, 0))))
        #expect(guide.folders.folders == ["/s/a": .entries])
        plan.succeeded(outcome(guided: true, 2), at: 61_800)
        #expect(plan.due(at: 80_000) == nil)
    }

    @Test("does not wait for a quiet moment for ever, nor back up more often than once a minute for long")
    func storm() throws {
        var plan = try walkedPlan()
        var begun: [Int64] = []
        for now in stride(from: Int64(2000), to: 3_602_000, by: 500) {
            plan.note(.changed("/s/log"), at: now)
            if plan.due(at: now) != nil {
                begun.append(now)
                plan.succeeded(outcome(guided: true, UInt64(now)), at: now)
            }
        }
        #expect(begun.first == 32_000)
        #expect((60...75).contains(begun.count), "\(begun.count) in an hour")
    }

    @Test("what leaves only a folder's times changed is no reason for a backup, and goes along with the next")
    func touched() throws {
        var plan = try walkedPlan()
        plan.note(.touched("/s/a"), at: 2000)
        #expect(plan.due(at: 900_000) == nil)
        plan.note(.changed("/s/b"), at: 900_000)
        #expect(plan.due(at: 902_000)?.changes?.folders.folders == ["/s/a": .entries, "/s/b": .entries])
    }

    @Test("a doubt is settled by a walk, not sooner than walks may cost, and what is known is backed up meanwhile")
    func doubts() throws {
        var plan = try walkedPlan()
        plan.note(.doubt("test", isBroken: false), at: 2000)
        plan.note(.changed("/s/a"), at: 2000)
        let due3 = plan.due(at: 3000)
        let guided = try #require(due3?.changes)
        #expect(guided.use == .instead)
        plan.succeeded(outcome(guided: true, 2), at: 3100)
        #expect(plan.due(at: 60_999) == nil)
        // Nothing to compare with: something was missed, and that is known.
        let due4 = plan.due(at: 61_000)
        let walk = try #require(due4)
        #expect(walk.changes == nil)
        plan.succeeded(outcome(guided: false, 3), at: 71_000)
        #expect(plan.due(at: 500_000) == nil)
    }

    @Test("a walk a day compares what it finds with what was told, and says what was not")
    func dailyWalk() throws {
        var plan = try walkedPlan()
        let day: Int64 = 86_400_000
        #expect(plan.due(at: day) == nil)
        plan.note(.touched("/s/told"), at: day)
        let due5 = plan.due(at: day + 1000)
        let walk = try #require(due5?.changes)
        #expect(walk.use == .compared && walk.folders.covers("/s/told"))
        plan.note(.appeared("/s/late"), at: day + 2000)
        plan.succeeded(outcome(guided: false, 2, untold: ["/s/told", "/s/late/x", "/s/missed"]), at: day + 3000)
        #expect(plan.missed?.folder == "/s/missed" && plan.missed?.count == 1)
    }

    @Test("what was lost while everything was walked, and said to be lost, is nothing that the watch had missed")
    func lostDuringWalk() throws {
        var plan = try walkedPlan()
        let day: Int64 = 86_400_000
        let walk = plan.due(at: day + 1000)
        #expect(walk?.changes?.use == .compared)
        plan.note(.doubt("more happened at once than the kernel keeps events of", isBroken: false), at: day + 2000)
        plan.succeeded(outcome(guided: false, 2, untold: ["/s/lost"]), at: day + 3000)
        #expect(plan.missed == nil)
        #expect(!plan.pending.isCertain)
    }

    @Test("a folder that changed while everything was walked, and was moved before that was told, was not missed")
    func movedDuringWalk() throws {
        var plan = try walkedPlan()
        let day: Int64 = 86_400_000
        #expect(plan.due(at: day + 1000)?.changes?.use == .compared)
        for event: FolderEvent in [.changed("/s"), .changed("/s/z"), .appeared("/s/z/a")] { plan.note(event, at: day + 2000) }
        plan.succeeded(outcome(guided: false, 2, untold: ["/s/a/b"]), at: day + 3000)
        #expect(plan.missed == nil)
    }

    @Test("a failure keeps what was told, and waits longer each time")
    func failures() throws {
        var plan = try walkedPlan()
        plan.note(.changed("/s/a"), at: 2000)
        var now: Int64 = 3000
        var waits: [Int64] = []
        for _ in 0..<9 {
            let due = plan.due(at: now)
            #expect(due != nil)
            plan.failed(at: now)
            let failed = now
            while true {
                var copy = plan
                if copy.due(at: now) != nil { break }
                now += 1000
            }
            waits.append(now - failed)
        }
        #expect(waits == waits.sorted() && waits.first == 10_000 && waits.last.map { $0 >= 600_000 } == true)
        #expect(plan.due(at: now)?.changes?.folders.covers("/s/a") == true)
    }

    @Test("files that could not be read are looked at again with the next backup")
    func unreadable() throws {
        var plan = try walkedPlan()
        plan.note(.changed("/s/a"), at: 2000)
        let due6 = plan.due(at: 3000)
        _ = try #require(due6)
        plan.succeeded(outcome(guided: true, 2, doubt: "links", again: ["/s/b/locked"]), at: 3100)
        #expect(plan.pending.covers("/s/b") && !plan.pending.isCertain)
    }

    /// A source as the plan's backups see it: each folder has a version.
    private struct Model {
        let folders: [RawPath]
        var now: [RawPath: Int] = [:]
        var backedUp: [RawPath: Int] = [:]
        /// Told to nobody yet.
        var events: [FolderEvent] = []
    }

    @Test("whatever happens in whatever order, in the end everything is backed up", arguments: 0..<300 as Range<UInt64>)
    func nothingIsForgotten(_ seed: UInt64) throws {
        var choices = Choices(seed: seed)
        var model = Model(folders: (0..<12).map { RawPath("/s/\($0 % 3)/\($0)") })
        var plan = ContinuousPlan()
        var running: (guide: BackupGuide, seen: [RawPath: Int])?
        var now: Int64 = 0
        var made: UInt64 = 0

        func look(_ model: Model) {
            // A walk sees each folder at some moment of its own between its beginning and its end.
            for folder in model.folders where running?.seen[folder] == nil && choices.below(2) == 0 {
                guard let guide = running?.guide else { return }
                if guide.changes?.use == .instead, guide.changes?.folders.covers(folder) != true { continue }
                running?.seen[folder] = model.now[folder] ?? 0
            }
        }
        func step(changing: Bool) {
            now += Int64(choices.below(changing ? 3000 : 60_000))
            if changing, choices.below(2) == 0 {
                let folder = model.folders[choices.below(model.folders.count)]
                if choices.below(5) == 0 {
                    // Moved here, with what is in it.
                    for inside in model.folders where inside.isWithin(folder.parent) { model.now[inside, default: 0] += 1 }
                    model.events.append(.appeared(folder.parent))
                } else {
                    model.now[folder, default: 0] += 1
                    model.events.append(.changed(folder))
                }
            }
            look(model)
            if choices.below(30) == 0, !model.events.isEmpty {
                model.events = [.doubt("lost", isBroken: false)]
            }
            if choices.below(3) == 0 || !changing {
                for event in model.events { plan.note(event, at: now) }
                model.events = []
            }
            if running == nil, let guide = plan.due(at: now) {
                running = (guide, [:])
            } else if let backup = running, choices.below(3) == 0 {
                if changing, choices.below(4) == 0 {
                    plan.failed(at: now)
                } else {
                    let guided = backup.guide.changes?.use == .instead
                    for folder in model.folders {
                        guard !guided || backup.guide.changes?.folders.covers(folder) == true else { continue }
                        model.backedUp[folder] = running?.seen[folder] ?? model.now[folder] ?? 0
                    }
                    made += 1
                    plan.succeeded(outcome(guided: guided, made), at: now)
                }
                running = nil
            }
        }
        for _ in 0..<400 { step(changing: true) }
        for _ in 0..<400 { step(changing: false) }
        for folder in model.folders { #expect(model.backedUp[folder] == model.now[folder, default: 0], "\(folder)") }
        #expect(made > 2)
    }

    @Test("what goes between the node and its backup survives the way, and nothing else is taken for it")
    func coding() throws {
        var folders = ChangedFolders()
        folders.note("/a", .everything)
        folders.note(RawPath(bytes: [0x2f, 0xff, 0x0a]))
        let guide = BackupGuide(
            WatchedChanges(
                base: SnapshotID(Bytes32(words: (1, 2, 3, 4))), digest: Bytes32(words: (5, 6, 7, 8)), folders: folders,
                use: .compared))
        let bytes = guide.encode()
        let back = try BackupGuide(decoding: bytes)
        #expect(back.changes?.folders == folders && back.changes?.use == .compared)
        #expect(back.changes?.base == guide.changes?.base && back.changes?.digest == guide.changes?.digest)
        #expect(try BackupGuide(decoding: BackupGuide(nil).encode()).changes == nil)
        let result = outcome(guided: true, 3, untold: ["/x"], doubt: "d", again: ["/y/z"])
        let answer = result.encode()
        #expect(try GuidedOutcome(decoding: answer) == result)
        for cut in 0..<bytes.count { #expect(throws: FormatError.self) { try BackupGuide(decoding: Array(bytes[..<cut])) } }
        for cut in 0..<answer.count { #expect(throws: FormatError.self) { try GuidedOutcome(decoding: Array(answer[..<cut])) } }
        var report = SourceReport(name: "documents")
        (report.method, report.unwatched, report.hasChanges, report.nextWalk) = ("inotify", ["/n"], true, 5)
        #expect(try SourceReport.decode(SourceReport.encode([report])) == [report])
    }

    @Test(
        "a watch that breaks begins anew at once, one that breaks again and again ever later, and one that has lasted at once again"
    )
    func pauses() {
        var pauses = WatchPauses()
        var now: Int64 = 1_000_000
        var waits: [Int64] = []
        for _ in 0..<11 {
            pauses.began(at: now)
            now += 2000
            waits.append(pauses.broke(at: now))
            now += waits[waits.count - 1]
        }
        #expect(waits == [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000])
        pauses.began(at: now)
        #expect(pauses.broke(at: now + 60_000) == 1000)
    }

    @Test("more folders than are kept apart are a doubt, and the memory stays bounded")
    func bounds() {
        var folders = ChangedFolders()
        for number in 0..<ChangedFolders.foldersMax + 10 { folders.note(RawPath("/s/\(number)")) }
        #expect(folders.folders.count == ChangedFolders.foldersMax && !folders.isCertain)
        #expect(folders.encode().count <= ChangedFolders.encodedBytesMax)
        var long = ChangedFolders()
        for number in 0..<200 { long.note(RawPath("/\(number)/" + String(repeating: "x", count: 60_000))) }
        #expect(!long.isCertain && long.folders.count < 100)
        #expect(long.encode().count <= ChangedFolders.encodedBytesMax)
    }
}
