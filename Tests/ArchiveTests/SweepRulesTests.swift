import Archive
import TestSupport
import Testing

@Suite("What a sweep rewrites") struct SweepRulesTests {
    private let rules = SweepRules(packBytes: 16 << 20)

    private func alive(_ bytes: Int) -> SweepCandidate { SweepCandidate(packBytes: bytes, aliveBytes: bytes - 100) }

    @Test("small packs are merged when there are eight of about a size, and not before; large ones never")
    func classes() {
        let sizes = [3 << 20, 1 << 20, 100_000, 10_000, 900, 200]
        #expect(rules.choose(sizes.flatMap { size in (0..<4).map { _ in alive(size) } }).merged == Array(0..<8) + Array(16..<24))
        #expect(rules.choose((0..<7).map { _ in alive(30_000) }).merged == [])
        #expect(rules.choose((0..<8).map { _ in alive(30_000) }).merged == Array(0..<8))
        #expect(rules.choose((0..<40).map { _ in alive(5 << 20) }).merged == [])
    }

    @Test("what is dead goes, what mostly is is rewritten, and what only peers have is never rewritten")
    func kinds() {
        let packs = [
            SweepCandidate(packBytes: 9 << 20, aliveBytes: 0), SweepCandidate(packBytes: 9 << 20, aliveBytes: 4 << 20),
            SweepCandidate(packBytes: 9 << 20, aliveBytes: 5 << 20), SweepCandidate(packBytes: 90_000, aliveBytes: 40_000),
            SweepCandidate(packBytes: 9 << 20, aliveBytes: 0, isElsewhere: true),
            SweepCandidate(packBytes: 9 << 20, aliveBytes: 1 << 20, isElsewhere: true),
        ]
        let chosen = rules.choose(packs)
        #expect(chosen.dead == [0, 4] && chosen.sparse == [1] && chosen.merged == [])
    }

    /// A year of backups, each of a small pack, and a sweep each day. Lists are what costs: a snapshot's changes when a pack on it goes.
    @Test("a year of hourly backups gives each snapshot few new lists, and moves each byte few times")
    func year() {
        struct Pack {
            var bytes: Int
            /// The first snapshot that names it, as all later ones do.
            var since: Int
        }
        var (packs, snapshots, lists, moved, made, most) = ([Pack](), 0, 0, 0, 0, 0)
        for _ in 0..<365 {
            for hour in 0..<24 {
                let bytes = 4_000 + hour * 300
                packs.append(Pack(bytes: bytes, since: snapshots))
                made += bytes
                snapshots += 1
            }
            let merged = rules.choose(packs.map { alive($0.bytes) }).merged
            guard let first = merged.map({ packs[$0].since }).min() else { continue }
            lists += snapshots - first
            var rest = merged.reduce(0) { $0 + packs[$1].bytes }
            moved += rest
            packs = packs.indices.filter { !merged.contains($0) }.map { packs[$0] }
            while rest > 0 {
                packs.append(Pack(bytes: min(rest, 16 << 20), since: first))
                rest -= 16 << 20
            }
            most = max(most, packs.count { $0.bytes < 4 << 20 })
        }
        // With all small packs merged whenever there are eight, both are 12.4: each day again, until there are 4 MiB.
        #expect(Double(lists) / Double(snapshots) < 3, "\(lists) lists of \(snapshots) snapshots")
        #expect(Double(moved) / Double(made) < 3, "\(moved) of \(made) bytes")
        #expect(most <= 4 * 7, "\(most)")
    }

    /// A year of hourly backups of about so many bytes each, with as much kept here as `local_copy` says: large packs go to peers first, then
    /// small ones, the oldest first; a sweep each day merges what is here. How many packs there are in the end, and how many small ones went.
    private func yearOfLetting(go limitBytes: Int, hourlyBytes: Int) -> (packs: Int, smallAway: Int) {
        struct Pack {
            var bytes: Int
            var made: Int
        }
        let smallBytes = 4 << 20
        var (here, away, smallAway, time) = ([Pack](), 0, 0, 0)
        for _ in 0..<365 {
            for hour in 0..<24 {
                here.append(Pack(bytes: hourlyBytes * (4_000 + hour * 300) / 7_450, made: time))
                time += 1
                var total = here.reduce(0) { $0 + $1.bytes }
                here.sort { ($0.bytes < smallBytes ? 1 : 0, $0.made) < ($1.bytes < smallBytes ? 1 : 0, $1.made) }
                while total > limitBytes, let first = here.first {
                    total -= first.bytes
                    away += 1
                    smallAway += first.bytes < smallBytes ? 1 : 0
                    here.removeFirst()
                }
            }
            let merged = Set(rules.choose(here.map { alive($0.bytes) }).merged)
            var rest = merged.reduce(0) { $0 + here[$1].bytes }
            here = here.indices.filter { !merged.contains($0) }.map { here[$0] }
            while rest > 0 {
                here.append(Pack(bytes: min(rest, 16 << 20), made: time))
                time += 1
                rest -= 16 << 20
            }
        }
        return (here.count + away, smallAway)
    }

    @Test("where as little as 64 MiB is kept here, a year of hourly backups lets no small pack go before it is merged")
    func localCopy() {
        for (hourlyBytes, packs) in [(7_450, 5), (100_000, 91), (1_000_000, 730)] {
            #expect(yearOfLetting(go: 64 << 20, hourlyBytes: hourlyBytes) == (packs, 0), "\(hourlyBytes)")
            #expect(yearOfLetting(go: .max, hourlyBytes: hourlyBytes) == (packs, 0), "\(hourlyBytes)")
        }
        // With less, those stay small that a day's backups push out: decision 9 has what they cost.
        #expect(yearOfLetting(go: 16 << 20, hourlyBytes: 100_000) == (371, 359))
        #expect(yearOfLetting(go: 1 << 20, hourlyBytes: 7_450) == (365, 360))
        #expect(yearOfLetting(go: 1 << 20, hourlyBytes: 100_000) == (8_760, 8_753))
    }

    /// Packs that could go, each with what it frees.
    private func candidates(_ freed: [Int]) -> [ListCosts.Candidate] {
        freed.enumerated().map { ListCosts.Candidate(pack: $0, freedBytes: $1) }
    }

    @Test("lists are changed for what is dead when that frees more than they cost")
    func worth() {
        /// One pack that so many lists name.
        func isWorth(freedBytes: Int, lists count: Int) -> Bool {
            var lists = ListCosts(packs: 1)
            let page = lists.addPage(naming: [0])
            for _ in 0..<count { lists.addList(of: [page]) }
            return lists.worthwhile(candidates([freedBytes]), besides: [], listBytes: SweepRules.listBytes) == [0]
        }
        #expect(isWorth(freedBytes: 1, lists: 0))
        #expect(!isWorth(freedBytes: 3000, lists: 1))
        #expect(!isWorth(freedBytes: 1 << 20, lists: 100))
        #expect(isWorth(freedBytes: 2 << 20, lists: 100))
    }

    @Test("one pack that is not worth its lists does not keep those that are, and lists that change anyway cost nothing")
    func someOfThem() {
        // Packs 0 and 1 are on the lists 0 to 9; pack 2 on all hundred, pack 3 on list 99.
        var lists = ListCosts(packs: 4)
        let (few, all) = (lists.addPage(naming: [0, 1]), lists.addPage(naming: [2]))
        let last = lists.addPage(naming: [3])
        for number in 0..<100 {
            lists.addList(of: (number < 10 ? [few] : []) + [all] + (number == 99 ? [last] : []))
        }
        func chosen(_ freed: [Int], besides: [Int] = []) -> [Int] {
            lists.worthwhile(candidates(freed), besides: besides, listBytes: 1000)
        }
        #expect(chosen([9_000, 900, 50_000]) == [])
        #expect(chosen([9_000, 1_000, 50_000]) == [0, 1])
        #expect(chosen([9_000, 1_000, 90_000]) == [0, 1, 2])
        #expect(chosen([20_000, 1, 1, 999]) == [0, 1])
        #expect(chosen([1, 1, 1, 1], besides: [2]) == [0, 1, 2, 3])
        #expect(chosen([1, 1, 1], besides: [3]) == [])
    }

    @Test("never less is gained than by all or by nothing", arguments: 0..<40 as Range<UInt64>)
    func gains(seed: UInt64) {
        var choices = Choices(seed: seed)
        let count = 1 + choices.below(12)
        var lists = ListCosts(packs: count)
        let pages = (0..<1 + choices.below(6)).map { _ in (0..<count).filter { _ in choices.below(3) == 0 } }
        let numbers = pages.map { lists.addPage(naming: $0) }
        let members = (0..<1 + choices.below(20)).map { _ in numbers.filter { _ in choices.below(2) == 0 } }
        for list in members { lists.addList(of: list) }
        let freed = (0..<count).map { _ in choices.below(5000) }
        func gain(_ packs: [Int]) -> Int {
            let changed = members.count { list in list.contains { !Set(pages[$0]).isDisjoint(with: packs) } }
            return packs.reduce(0) { $0 + freed[$1] } - changed * 1000
        }
        let chosen = lists.worthwhile(candidates(freed), besides: [], listBytes: 1000)
        #expect(gain(chosen) >= max(0, gain(Array(0..<count))))
    }
}
