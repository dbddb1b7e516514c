#if MUTANTS
    internal import BackupFormat
    internal import Simulation

    /// Switches on one bug after the other, and runs seeds until the checker that is meant for it finds it, whatever others find before.
    struct MutationCheck {
        private let options: Options

        init(_ options: Options) { self.options = options }

        /// The seeds that are tried for each, and their size unless asked for otherwise.
        private static let firstSeed: UInt64 = 100
        private static let seedsMax: UInt64 = 200
        private static func size(_ mutant: Mutant) -> (machines: Int, days: Int) {
            // With peers, what is damaged comes from them.
            switch mutant {
            case .skipParity: (1, 20)
            // Versions and blocks come seldom.
            case .takeAnyVersion, .welcomeTheBlocked: (6, 12)
            default: (4, 8)
            }
        }

        /// The checkers that may find it, as what is lost shows here or there.
        private static func checkers(_ mutant: Mutant) -> [String] {
            let lost = ["a committed snapshot has lost no pack", "a committed snapshot restores"]
            return switch mutant {
            case .skipFileSync, .skipFolderSync, .acknowledgeEarly: ["acknowledged means durable"]
            case .skipCommitFence, .sweepWithoutRecheck, .forgetReference, .loseMovedChunks: lost
            case .trustTheLedger, .acceptAnyProof, .skipReadBack: ["the ledger never claims more than is true"]
            case .releaseQuotaTwice, .ignoreQuota: ["a friend's quota is never exceeded"]
            case .reuseNonce: ["no nonce is used twice"]
            case .storeUnverified: ["what is stored is what its name says"]
            case .dropForgetOrders: ["what is forgotten is gone"]
            case .trustSizes: ["what is restored is what was backed up"]
            case .skipParity: ["starts again", "commands work", "a damaged machine is mended", "a sweep works"] + lost
            case .lopsidedNegotiation: ["both sides of an agreement say the same"]
            case .forgetPage: lost + ["a sweep works", "commands work"]
            case .keepGarbage: ["no garbage stays"]
            case .fewerReplicas: ["everything is protected again"]
            case .welcomeTheBlocked: ["whoever was sent away has no session"]
            case .takeAnyVersion: ["another version is refused"]
            case .recoverLess: ["with the owner key alone everything comes back", "an empty machine recovers"]
            }
        }

        /// The process's exit code.
        func run() -> Int32 {
            let chosen = Mutant.allCases.filter { options.mutant == nil || options.mutant == $0.rawValue }
            var missed = 0
            for mutant in chosen {
                var search = options
                search.mutant = mutant.rawValue
                if options.count == 1 { (search.first, search.count) = (MutationCheck.firstSeed, MutationCheck.seedsMax) }
                search.size = options.size ?? MutationCheck.size(mutant)
                search.endsWith = MutationCheck.checkers(mutant)
                var coordinator = Coordinator(search)
                coordinator.runSeeds()
                let tried = coordinator.passed + coordinator.failures.count
                guard let found = coordinator.failures.first(where: { MutationCheck.checkers(mutant).contains($0.checker) })
                else {
                    missed += 1
                    writeLine("MISSED  \(mutant.rawValue): \(tried) seeds")
                    for other in coordinator.failures.prefix(5) {
                        writeLine("    seed \(other.seed): \(other.checker): \(other.text)")
                    }
                    continue
                }
                writeLine("caught  \(mutant.rawValue) by \"\(found.checker)\", seed \(found.seed), after \(tried)")
            }
            writeLine("\(chosen.count - missed) passed, \(missed) failed")
            return missed == 0 ? 0 : 1
        }
    }
#endif
