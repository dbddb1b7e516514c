import Durability
import Testing

extension Chance {
    fileprivate mutating func rate(_ range: ClosedRange<Double>) -> Double {
        range.lowerBound + unit() * (range.upperBound - range.lowerBound)
    }
    fileprivate mutating func scheme(upTo most: Int) -> Scheme {
        let pieces = 1 + Int(unit() * Double(most))
        return Scheme(needed: 1 + Int(unit() * Double(pieces)), pieces: pieces)
    }
}

@Suite("Pieces")
struct PieceTests {
    /// Three deviations and a half: one in 2,000 such tests would fail by chance, and the seeds are fixed.
    private static let deviations = 3.5

    @Test(
        "simulation and chain agree on the loss within a year",
        arguments: [(1, 1), (1, 2), (1, 3), (2, 4), (3, 6), (10, 20), (5, 6)], [1, 3, Int.max])
    func agree(shape: (Int, Int), repairers: Int) {
        let scheme = Scheme(needed: shape.0, pieces: shape.1)
        let chain = PieceChain(scheme, failureRate: 2, repairRate: 10, repairers: repairers).annualLoss
        let simulated = PieceSimulation(
            scheme, failureRate: 2, repair: .exponential(mean: 0.1), repairers: repairers
        ).loss(within: 1, trials: 10_000, seed: 11, deviations: Self.deviations)
        #expect(simulated.value > 0 && simulated.contains(chain), "\(scheme): \(chain), \(simulated)")
    }

    @Test("small chains are the textbooks': two copies, three that only die, an array of disks that survives one failure")
    func textbook() {
        let (fail, mend) = (0.3, 40.0)
        let two = PieceChain(.replicas(2), failureRate: fail, repairRate: mend).meanYears
        #expect(abs(two / ((3 * fail + mend) / (2 * fail * fail)) - 1) < 1e-12)
        // Without repair copies only die: 1/3λ + 1/2λ + 1/λ.
        let dying = PieceChain(.replicas(3), failureRate: fail, repairRate: 0).meanYears
        #expect(abs(dying / (11 / (6 * fail)) - 1) < 1e-12)
        // n disks of which one may fail: ((2n - 1)λ + μ) / n(n - 1)λ².
        let array = PieceChain(Scheme(needed: 9, pieces: 10), failureRate: fail, repairRate: mend).meanYears
        #expect(abs(array / ((19 * fail + mend) / (90 * fail * fail)) - 1) < 1e-12)
    }

    @Test("without repair, the loss within a year is a binomial tail", arguments: 1...12)
    func noRepair(pieces: Int) {
        for needed in 1...pieces {
            let fails = 1 - PieceChain(.replicas(1), failureRate: 0.7, repairRate: 0).annualLoss
            let chain = PieceChain(Scheme(needed: needed, pieces: pieces), failureRate: 0.7, repairRate: 0).annualLoss
            let tail = (0..<needed).reduce(0) { $0 + binomial($1, of: pieces, chance: fails) }
            #expect(abs(chain / tail - 1) < 1e-9, "\(needed) of \(pieces)")
        }
    }

    @Test("where loss is rare, the mean time to it says how likely it is")
    func rare() {
        let chain = PieceChain(Scheme(needed: 2, pieces: 5), failureRate: 0.02, repairRate: 50)
        #expect(abs(chain.annualLoss / chain.annualLossByMean - 1) < 0.05)
    }

    @Test(
        "more replicas never lose more, nor do fewer needed pieces; faster repair never loses more",
        arguments: 0..<40 as Range<UInt64>)
    func monotone(seed: UInt64) {
        var chance = Chance(seed: seed)
        let scheme = chance.scheme(upTo: 12)
        let fail = chance.rate(0.01...5)
        let mend = chance.rate(0...60)
        let repairers = 1 + Int(chance.unit() * 5)
        func loss(_ scheme: Scheme, _ mend: Double) -> Double {
            PieceChain(scheme, failureRate: fail, repairRate: mend, repairers: repairers).annualLoss
        }
        func life(_ scheme: Scheme, _ mend: Double) -> Double {
            PieceChain(scheme, failureRate: fail, repairRate: mend, repairers: repairers).logMeanYears
        }
        let more = Scheme(needed: scheme.needed, pieces: scheme.pieces + 1)
        let slack = 1 + 1e-9
        #expect(loss(more, mend) <= loss(scheme, mend) * slack && life(more, mend) >= life(scheme, mend))
        #expect(loss(scheme, mend * 1.5) <= loss(scheme, mend) * slack && life(scheme, mend * 1.5) >= life(scheme, mend))
        if scheme.needed > 1 {
            let fewer = Scheme(needed: scheme.needed - 1, pieces: scheme.pieces)
            #expect(loss(fewer, mend) <= loss(scheme, mend) * slack && life(fewer, mend) >= life(scheme, mend))
        }
    }

    @Test("one needed of n is n replicas: stored n times, lost with the last")
    func replication() {
        for count in 1...10 {
            let scheme = Scheme(needed: 1, pieces: count)
            #expect(scheme == .replicas(count) && scheme.expansion == Double(count) && scheme.spare == count - 1)
            // All of them gone, each by itself: without repair nothing else is needed.
            let one = PieceChain(.replicas(1), failureRate: 1, repairRate: 0).annualLoss
            let all = PieceChain(scheme, failureRate: 1, repairRate: 0).annualLoss
            #expect(abs(all / (0..<count).reduce(1) { value, _ in value * one } - 1) < 1e-9)
        }
    }

    @Test("chances stay within 0...1 and all figures finite, up to 100 pieces", arguments: [1, 2, 17, 50, 99, 100])
    func bounded(pieces: Int) {
        for needed in Set([1, (pieces + 1) / 2, pieces]) {
            let scheme = Scheme(needed: needed, pieces: pieces)
            for (fail, mend) in [(1e-6, 0.0), (0.017, 12.0), (5.0, 1.0), (1e-3, 400.0)] {
                let chain = PieceChain(scheme, failureRate: fail, repairRate: mend, repairers: 4)
                #expect((0...1).contains(chain.annualLoss) && (0...1).contains(chain.annualLossByMean))
                #expect(chain.logMeanYears.isFinite && chain.meanYears.isFinite && chain.meanYears > 0)
            }
            for churn in [0, 1e-9, 0.1, 1, 50] { #expect((0...1).contains(storjLoss(scheme, churn: churn))) }
            let year = ShardYear(shards: pieces, annualFailureRate: 0.5, rebuildDays: 10)
            for failures in 1...pieces {
                #expect((0...1).contains(year.inYear(atLeast: failures)))
                #expect((0...1).contains(year.inYearByPoisson(atLeast: failures)))
            }
        }
    }

    @Test("an interval holds its value, and gets narrower with more trials")
    func intervals() {
        for hits in [0, 1, 50, 99, 100] {
            let few = Estimate.share(hits, of: 100)
            let many = Estimate.share(hits * 100, of: 10_000)
            #expect(few.contains(few.value) && many.high - many.low < few.high - few.low)
            #expect(few.low >= 0 && few.high <= 1)
        }
        let mean = Estimate.mean([1, 2, 3, 4])
        #expect(mean.value == 2.5 && mean.contains(2.5) && !mean.contains(5))
        let yearly = Estimate.yearly(100, in: 1000)
        #expect(yearly.contains(yearly.value) && Estimate.yearly(0, in: 10).low == 0)
    }
}
