import BackupFormat
import Cryptography
import HostFiles
import Synchronization
import TestSupport
import Testing
import Vault

/// Committers, sweepers and forgetters as processes of their own, stopped and woken between any two operations.
///
/// All grace times are zero: nothing may depend on them.
@Suite("Vault in several processes") struct VaultInterleavingTests {
    typealias Actor = @Sendable (Vault) throws -> [SnapshotID]

    /// The vault before: snapshot 1 with packs 0, 1, 5 and 12; packs 2, 3 and page b stored and unreferenced, or in the trash.
    struct Stage {
        let world = VaultWorld.shared
        let disk: SimulatedDisk
        let a: PackListPage
        let b: PackListPage
        let c: PackListPage

        private static let stages = Result { (plain: try Stage(sweeping: false), trashed: try Stage(sweeping: true)) }

        init(trashed: Bool) throws {
            let stages = try Stage.stages.get()
            let model = trashed ? stages.trashed : stages.plain
            disk = SimulatedDisk(copying: model.disk)
            a = model.a
            b = model.b
            c = model.c
        }

        private init(sweeping: Bool) throws {
            disk = SimulatedDisk()
            a = try world.page([0, 1, 5, 12])
            b = try world.page([2, 3])
            c = try world.page([3, 4])
            let vault = try open(disk)
            try world.publish(vault, world.record(1, [a]), [a])
            try world.store(vault, [2, 3])
            try vault.storePage(b.encode())
            if sweeping { _ = try vault.sweep(grace: 100, now: 0) }
        }

        func open(_ disk: any Disk) throws -> Vault {
            try Vault(disk: disk, directory: "/home/vault", owner: world.owner, create: disk is SimulatedDisk)
        }

        func publisher(_ sequence: UInt64, _ pages: [PackListPage]) -> Actor {
            let record = world.record(sequence, pages)
            return { [world] vault in
                try world.publish(vault, record, pages)
                return [record.id]
            }
        }

        /// Trims snapshot 1's pack list to other pages.
        func rewriter() -> Actor {
            let record = world.record(1, [b], revision: 1)
            return { [world, b] vault in
                try world.publish(vault, record, [b])
                return [record.id]
            }
        }

        func forgetter() -> Actor {
            let order = world.forget([world.record(1, [a]).id])
            return { vault in
                try vault.forget(order)
                return []
            }
        }

        /// Lets go of the one pack of snapshot 1 that peers are said to have.
        func giver() -> Actor {
            let pack = world.packs[12].id
            return { vault in
                _ = try vault.replaceByStubs([pack])
                return []
            }
        }

        func sweeper(times: Int = 1) -> Actor {
            { vault in
                for _ in 0..<times { _ = try vault.sweep(grace: 0, now: 0) }
                return []
            }
        }
    }

    /// The actors on their threads, driven step by step.
    final class Run: Sendable {
        let stage: Stage
        let turnstile: Turnstile
        private let threads: [WorkerThread]

        init(_ stage: Stage, _ actors: [Actor]) throws {
            self.stage = stage
            let turnstile = Turnstile(actors: actors.count)
            self.turnstile = turnstile
            let results = Results()
            threads = actors.enumerated().compactMap { index, actor in
                WorkerThread(name: "actor \(index)") {
                    let disk = SteppedDisk(disk: stage.disk, turnstile: turnstile, actor: index)
                    results.add(Result { try actor(try stage.open(disk)) })
                    turnstile.finish(index)
                }
            }
            self.results = results
        }

        private let results: Results

        /// Lets `actor` go on for `count` operations, or to its end.
        func go(_ actor: Int, _ count: Int = .max) {
            var done = 0
            while done < count, turnstile.ready().contains(actor) {
                turnstile.step(actor)
                done += 1
            }
        }

        /// Lets `actor` go on until it is about to do an operation whose words contain `text`, or to its end.
        func go(_ actor: Int, before text: String) {
            while turnstile.ready().contains(actor), !turnstile.next(actor).contains(text) { turnstile.step(actor) }
        }

        /// Everything that was told to be committed is there and whole, whoever is stopped where.
        func check(_ what: @autoclosure () -> String, gone: Set<SnapshotID> = []) throws {
            let vault = try stage.open(stage.disk)
            do {
                let found = Set(try VaultChecker(vault: vault).requireWhole(allowsStubs: true))
                for id in results.committed where !gone.contains(id) { #expect(found.contains(id), "\(what()): lost \(id)") }
            } catch { Issue.record("\(what()): \(error)") }
        }

        func end(_ what: @autoclosure () -> String, gone: Set<SnapshotID> = []) throws {
            turnstile.kill()
            for thread in threads { thread.join() }
            for error in results.errors { Issue.record("\(what()): \(error)") }
            // Whoever was killed left garbage at most.
            let vault = try stage.open(stage.disk)
            do {
                _ = try vault.sweep(grace: 0, now: 0)
                #expect(try VaultChecker(vault: vault).garbage(stage.disk, "/home/vault") == [], "\(what())")
            } catch { Issue.record("\(what()): \(error)") }
            try check("\(what()), swept", gone: gone)
        }
    }

    final class Results: Sendable {
        private let state = Mutex<(committed: [SnapshotID], errors: [String])>(([], []))
        var committed: [SnapshotID] { state.withLock { $0.committed } }
        var errors: [String] { state.withLock { $0.errors } }
        func add(_ result: Result<[SnapshotID], any Error>) {
            state.withLock { state in
                switch result {
                case .success(let ids): state.committed += ids
                case .failure(let error): state.errors.append("\(error)")
                }
            }
        }
    }

    /// Stops actor 0 after each number of its operations, lets the others run to their ends, then wakes it.
    private func stopEverywhere(_ what: String, trashed: Bool, _ actors: (Stage) -> [Actor]) throws {
        var stop = 0
        while true {
            let stage = try Stage(trashed: trashed)
            let run = try Run(stage, actors(stage))
            run.go(0, stop)
            let isOver = !run.turnstile.ready().contains(0)
            for other in run.turnstile.ready() where other != 0 { run.go(other) }
            try run.check("\(what), stopped at \(stop)")
            run.go(0)
            try run.check("\(what), woken at \(stop)")
            try run.end("\(what), \(stop)")
            if isOver { break }
            stop += 1
        }
        #expect(stop > 8)
    }

    @Test("a commit stopped anywhere while sweeps run", arguments: [false, true])
    func stoppedCommit(_ trashed: Bool) throws {
        try stopEverywhere("commit", trashed: trashed) { [$0.publisher(2, [$0.a, $0.b]), $0.sweeper(), $0.sweeper()] }
    }

    @Test("a commit stopped anywhere while the snapshot it shares pages with is forgotten and swept", arguments: [false, true])
    func stoppedCommitOfShared(_ trashed: Bool) throws {
        try stopEverywhere("commit", trashed: trashed) { [$0.publisher(2, [$0.a, $0.b]), $0.forgetter(), $0.sweeper(times: 2)] }
    }

    @Test(
        "a pack let go of, stopped anywhere, while the only snapshot that needs it is forgotten, swept, and another commit counts on it"
    )
    func stoppedLettingGo() throws {
        try stopEverywhere("letting go", trashed: false) {
            [$0.giver(), $0.publisher(2, [$0.a, $0.b]), $0.forgetter(), $0.sweeper(times: 2)]
        }
        try stopEverywhere("letting go", trashed: false) {
            [$0.giver(), $0.forgetter(), $0.sweeper(times: 2), $0.publisher(2, [$0.a, $0.b])]
        }
        try stopEverywhere("commit", trashed: false) {
            [$0.publisher(2, [$0.a, $0.b]), $0.giver(), $0.forgetter(), $0.sweeper(times: 2)]
        }
        try stopEverywhere("sweep", trashed: false) {
            [$0.sweeper(times: 2), $0.giver(), $0.forgetter(), $0.publisher(2, [$0.a, $0.b]), $0.giver()]
        }
    }

    @Test("a sweep stopped anywhere while commits and another sweep run", arguments: [false, true])
    func stoppedSweep(_ trashed: Bool) throws {
        try stopEverywhere("sweep", trashed: trashed) { [$0.sweeper(), $0.publisher(2, [$0.b]), $0.sweeper(times: 2)] }
        try stopEverywhere("sweep", trashed: trashed) {
            [$0.sweeper(), $0.publisher(2, [$0.b, $0.a]), $0.forgetter(), $0.sweeper(), $0.publisher(3, [$0.a, $0.c])]
        }
    }

    @Test("a rewrite stopped anywhere while sweeps run")
    func stoppedRewrite() throws {
        try stopEverywhere("rewrite", trashed: true) { [$0.rewriter(), $0.sweeper(), $0.publisher(2, [$0.a]), $0.sweeper()] }
    }

    @Test(
        "any order of two committers, two sweepers, a rewriter and a forgetter, one of them stopped for ever",
        arguments: 0..<8 as Range<UInt64>)
    func anyOrder(_ part: UInt64) throws {
        for seed in part * 40..<(part + 1) * 40 {
            var random = Choices(seed: seed)
            let stage = try Stage(trashed: random.next() & 1 == 0)
            let forgets = random.next() & 1 == 0
            let run = try Run(
                stage,
                [
                    stage.publisher(2, [stage.a, stage.b]), stage.publisher(3, [stage.b, stage.c]), stage.sweeper(times: 2),
                    stage.sweeper(times: 2), stage.rewriter(), forgets ? stage.forgetter() : stage.sweeper(),
                ])
            let gone: Set<SnapshotID> = forgets ? [stage.world.record(1, [stage.a]).id] : []
            let victim = Int(random.next() % 6)
            let lifetime = Int(random.next() % 60)
            // Long runs of one actor reach other states than an even shuffle does.
            let patience = [1, 4, 20][Int(random.next() % 3)]
            var frozen = false
            while true {
                let ready = run.turnstile.ready().filter { !(frozen && $0 == victim) }
                guard let actor = ready.isEmpty ? nil : ready[Int(random.next() % UInt64(ready.count))] else { break }
                run.go(actor, 1 + Int(random.next() % UInt64(patience)))
                frozen = frozen || run.turnstile.steps(victim) >= lifetime
            }
            try run.check("seed \(seed), actor \(victim) stopped", gone: gone)
            run.go(victim)
            try run.check("seed \(seed), actor \(victim) woken", gone: gone)
            try run.end("seed \(seed)", gone: gone)
        }
    }

    /// Where the second sweep is when the commit goes on to its end.
    enum Pause: String, CaseIterable {
        case atOnce = ""
        case beforeReading = "list /home/vault/"
        case beforePending = "/pending"
        case beforeRemoving = "unlink"
    }

    /// The schedules that a lock-free sweep must fear: one sweep has decided what to move before a commit began, and moves it
    /// after the commit has looked; another sweep is anywhere in between.
    @Test("two sweeps around a commit, switched at each pair of operations", arguments: Pause.allCases)
    func pairsOfSwitches(_ pause: Pause) throws {
        var early = 0
        var hasMoreEarly = true
        while hasMoreEarly {
            var late = 0
            var hasMoreLate = true
            while hasMoreLate {
                let stage = try Stage(trashed: false)
                let run = try Run(stage, [stage.sweeper(), stage.sweeper(), stage.publisher(2, [stage.b])])
                run.go(0, before: "/trash/1/")
                run.go(1, early)
                run.go(2, late)
                hasMoreEarly = run.turnstile.ready().contains(1)
                hasMoreLate = run.turnstile.ready().contains(2)
                run.go(0, [1, 3, 5][(early + late) % 3])
                run.go(1, before: pause.rawValue)
                run.go(2)
                run.go(1)
                try run.check("early \(early), late \(late)")
                run.go(0)
                try run.end("early \(early), late \(late)")
                late += 1
            }
            early += 1
        }
        #expect(early > 15)
    }
}
