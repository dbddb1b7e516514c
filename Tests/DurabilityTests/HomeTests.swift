import Durability
import Testing

@Suite("Households")
struct HomeTests {
    private let model = HomeModel()

    private func recoveries(_ model: HomeModel, trials: Int = 300) -> HomeRecovery {
        HomeRecovery(model, trials: trials, seed: 5)
    }

    @Test("laptops sleep at night and at weekends, a NAS never, a desktop is on in the evening")
    func uptimes() {
        var chance = Chance(seed: 1)
        func share(_ uptime: Uptime, _ hours: [Int]) -> Double {
            let draws = hours.flatMap { hour in (0..<200).map { _ in uptime.isAwake(hour: hour, &chance) } }
            return Double(draws.count { $0 }) / Double(draws.count)
        }
        let nights = (0..<7).flatMap { day in (0..<6).map { day * 24 + $0 } }
        #expect(share(.laptop, nights) == 0 && share(.desktop, nights) == 0 && share(.nas, nights) > 0.99)
        #expect(share(.laptop, [10, 34]) > 0.8 && share(.laptop, [5 * 24 + 12]) < 0.3 && share(.desktop, [20]) > 0.75)
        #expect(Uptime.nas.share > Uptime.laptop.share && Uptime.laptop.share > Uptime.desktop.share)
    }

    @Test("545 GB at 20 Mbit/s take 2.5 days if nobody sleeps, after the loss is known")
    func upload() {
        var model = model
        model.publisher = .nas
        model.graceDays = 14
        model.answersAfterDiskFailure = 0
        var recoveries = recoveries(model)
        let hours = recoveries.peer(HomePeer(.nas), hasSpare: true, scheme: .replicas(1)).value
        #expect(abs(hours / 24 - 14 - 2.52) < 0.05)
        // A quarter of the data for a piece that is one of four needed.
        let quarter = recoveries.peer(HomePeer(.nas), hasSpare: true, scheme: Scheme(needed: 4, pieces: 8)).value
        #expect(abs(quarter / 24 - 14 - 2.52 / 4) < 0.05)
    }

    @Test("sleep, a long grace, a slow line and no spare peer each make recovery slower")
    func slower() {
        var usual = recoveries(model)
        let base = usual.peer(HomePeer(.nas), hasSpare: true, scheme: .replicas(1))
        #expect(usual.peer(HomePeer(.desktop), hasSpare: true, scheme: .replicas(1)).low > base.high)
        #expect(usual.peer(HomePeer(.nas), hasSpare: false, scheme: .replicas(1)).low > base.high)
        for change in [{ $0.graceDays = 40 }, { $0.uploadMegabits = 5 }] as [(inout HomeModel) -> Void] {
            var other = model
            change(&other)
            var slow = recoveries(other)
            #expect(slow.peer(HomePeer(.nas), hasSpare: true, scheme: .replicas(1)).low > base.high)
        }
    }

    @Test("two machines that are never awake together do not keep the simulation for ever")
    func never() {
        let night = Uptime(name: "night") { _, hour in hour < 5 ? 1 : 0 }
        var recoveries = recoveries(model, trials: 3)
        #expect(recoveries.peer(HomePeer(night), hasSpare: true, scheme: .replicas(1)).value.isFinite)
    }

    @Test("own nodes hold first, friends by chance; choices add up to one", arguments: 2...8)
    func choices(peers: Int) {
        let household = HomePeer.household(peers)
        for pieces in 1...peers {
            let choices = HomePlan.choices(.replicas(pieces), among: household)
            #expect(abs(choices.reduce(0) { $0 + $1.share } - 1) < 1e-12)
            for (plan, _) in choices {
                #expect(plan.holders.count == pieces && plan.spares.count == peers - pieces)
                #expect(plan.holders[0].isInOwnHome && !plan.spares.contains { $0.isInOwnHome })
            }
        }
        #expect(HomePlan.choices(.replicas(peers + 1), among: household).isEmpty)
    }

    @Test("with one replica, a fire in the own home takes both copies: about as often as homes burn")
    func fire() throws {
        var measured = recoveries(model)
        let loss = try #require(HomeChain.annualLoss(.replicas(1), peers: 4, model, &measured))
        #expect(loss.value > model.homeLossRate && loss.value < 1.5 * model.homeLossRate)
    }

    @Test("more replicas never lose more, and every chance is one", arguments: 3...7)
    func moreReplicas(peers: Int) throws {
        var measured = recoveries(model)
        let losses = try (1...3).map { count in
            try #require(HomeChain.annualLoss(.replicas(count), peers: peers, model, &measured)).value
        }
        #expect(losses[0] > losses[1] && losses[1] > losses[2])
        #expect(losses.allSatisfy { (0...1).contains($0) })
    }

    @Test("faster repair never loses more: a quicker line, a shorter grace")
    func fasterRepair() throws {
        func loss(_ scheme: Scheme, _ change: (inout HomeModel) -> Void) throws -> Double {
            var other = model
            change(&other)
            var measured = recoveries(other, trials: 800)
            return try #require(HomeChain.annualLoss(scheme, peers: 5, other, &measured)).value
        }
        for scheme in [Scheme.replicas(2), .replicas(3), Scheme(needed: 2, pieces: 4)] {
            let base = try loss(scheme) { _ in }
            #expect(try loss(scheme) { $0.uploadMegabits = 200 } < base)
            #expect(try loss(scheme) { $0.graceDays = 2 } < base)
        }
    }

    @Test("the chain agrees with a simulation of every hour, where losses are frequent", arguments: [1, 2])
    func simulated(replicas: Int) throws {
        let frequent = model.accelerated(40)
        let plan = try #require(HomePlan.choices(.replicas(replicas), among: HomePeer.household(4)).first).plan
        var measured = recoveries(frequent, trials: 1000)
        let chain = HomeChain(plan, frequent, &measured).annualLoss
        let simulated = HomeSimulation(plan, frequent).annualLoss(years: 1500, seed: 3)
        // The chain takes times to recover for exponential and restores from one peer at a time: a quarter more or less.
        #expect(simulated.low > 0 && simulated.low < chain * 1.25 && simulated.high > chain * 0.75, "\(chain), \(simulated)")
    }
}
