internal import Durability

extension DurabilityTable {
    private static let schemes: [(name: String, scheme: Scheme)] = [
        ("1 replica", .replicas(1)), ("2 replicas", .replicas(2)), ("3 replicas", .replicas(3)),
        ("2 of 4", Scheme(needed: 2, pieces: 4)), ("3 of 6", Scheme(needed: 3, pieces: 6)),
        ("2 of 6", Scheme(needed: 2, pieces: 6)),
    ]
    private static let trials = 2_000
    private static let seed: UInt64 = 7

    static func households() {
        let model = HomeModel()
        var recoveries = HomeRecovery(model, trials: trials, seed: seed)
        times(model, &recoveries)
        print("A household's annual loss, by its peers; the publisher has a copy of its own. In brackets: what peers store\n")
        var widest = 0.0
        var rows: [[String]] = []
        for peers in 2...10 {
            var row = ["\(peers)"]
            for (_, scheme) in schemes {
                let loss = HomeChain.annualLoss(scheme, peers: peers, model, &recoveries)
                row.append(loss.map { chance($0.value) } ?? "–")
                if let loss { widest = max(widest, loss.high / loss.value - 1, 1 - loss.low / loss.value) }
            }
            rows.append(row)
        }
        printTable(["peers"] + schemes.map { "\($0.name) (\(formatted("%g", $0.scheme.expansion)))" }, rows)
        print("No interval is wider than ±" + formatted("%.0f", widest * 100) + " %.\n")
        accelerated(model)
        sensitivity(model)
    }

    private static func times(_ model: HomeModel, _ recoveries: inout HomeRecovery) {
        print("Mean days until what was lost is there again: \(trials) losses each, ± 95 %\n")
        let peers = HomePeer.household(4)
        func days(_ hours: Estimate) -> String {
            formatted("%.1f", hours.value / 24) + " ± " + formatted("%.1f", (hours.high - hours.value) / 24)
        }
        printTable(
            [
                "peer", "awake", "to a spare one", "to the same, once replaced", "half of it, to a spare one",
                "the publisher, from it", "the same, after a fire",
            ],
            peers.map { peer in
                [
                    (peer.isInOwnHome ? "own " : "friend's ") + peer.uptime.name, formatted("%.0f %%", peer.uptime.share * 100),
                    days(recoveries.peer(peer, hasSpare: true, scheme: .replicas(1))),
                    days(recoveries.peer(peer, hasSpare: false, scheme: .replicas(1))),
                    days(recoveries.peer(peer, hasSpare: true, scheme: Scheme(needed: 2, pieces: 4))),
                    days(recoveries.publisher(from: peer, scheme: .replicas(1), homeIsLost: false)),
                    days(recoveries.publisher(from: peer, scheme: .replicas(1), homeIsLost: true)),
                ]
            })
    }

    /// The chain beside a simulation that knows nothing of it, where losses are frequent enough to be counted.
    private static func accelerated(_ model: HomeModel) {
        let times = 60.0
        let years = 10_000
        print("Disks and homes lost 60 times as often: annual loss by the chain, and as simulated over \(years) years\n")
        let model = model.accelerated(times)
        var recoveries = HomeRecovery(model, trials: trials, seed: seed)
        var rows: [[String]] = []
        // Two of six lose so rarely that even so there is nothing to count.
        for (name, scheme) in schemes.dropLast() {
            for peers in [scheme.pieces, scheme.pieces + 2] {
                guard let plan = HomePlan.choices(scheme, among: HomePeer.household(peers)).first?.plan else { continue }
                let chain = HomeChain(plan, model, &recoveries).annualLoss
                let simulated = HomeSimulation(plan, model).annualLoss(years: years, seed: seed)
                rows.append([
                    name, "\(peers)", chance(chain), chance(simulated.value),
                    chance(simulated.low) + "…" + chance(simulated.high), formatted("%.2f", chain / simulated.value),
                ])
            }
        }
        printTable(["", "peers", "chain", "simulated", "95 % interval", "ratio"], rows)
    }

    private static func sensitivity(_ model: HomeModel) {
        print("The same with other assumptions, 4 peers\n")
        var variants: [(String, HomeModel)] = [("as above", model)]
        func vary(_ name: String, _ change: (inout HomeModel) -> Void) {
            var other = model
            change(&other)
            variants.append((name, other))
        }
        vary("grace 7 days") { $0.graceDays = 7 }
        vary("grace 30 days") { $0.graceDays = 30 }
        vary("upload 5 Mbit/s") { $0.uploadMegabits = 5 }
        vary("upload 100 Mbit/s") { $0.uploadMegabits = 100 }
        vary("50 GB") { $0.gigabytes = 50 }
        vary("disks fail at 5 % a year") { $0.diskFailureRate = 0.05 }
        vary("homes are never lost") { $0.homeLossRate = 0 }
        printTable(
            [""] + schemes.prefix(4).map(\.name),
            variants.map { name, model in
                var recoveries = HomeRecovery(model, trials: trials, seed: seed)
                return [name]
                    + schemes.prefix(4).map {
                        HomeChain.annualLoss($0.scheme, peers: 4, model, &recoveries).map { chance($0.value) } ?? "–"
                    }
            })
    }
}
