#if MUTANTS
    internal import Glibc

    /// A bug made on purpose, to see that the simulator's checkers find it. Only in builds with `BAKARE_MUTANTS` in the environment
    /// (`make mutants`), where the variable `BAKARE_MUTANT` names the one that is switched on.
    package enum Mutant: String, CaseIterable, Sendable {
        /// What a file holds is not synced before it gets its name.
        case skipFileSync
        /// The folders that hold new names are not synced.
        case skipFolderSync
        /// A snapshot is said to be committed before its name is durable.
        case acknowledgeEarly
        /// A snapshot is committed though packs of it are missing.
        case skipCommitFence
        /// A record that is being committed counts for nothing until it is committed, and the references are read once and not again.
        case sweepWithoutRecheck
        /// The last page of a snapshot's list of packs is not counted as referenced.
        case forgetReference
        /// A peer that was proven once is not asked for proofs again.
        case trustTheLedger
        /// Whatever a peer answers to a question for a proof counts as one.
        case acceptAnyProof
        /// A peer that says to have committed a snapshot counts, whether its record can be read there or not.
        case skipReadBack
        /// A claim for a transfer is given up twice.
        case releaseQuotaTwice
        /// A transfer is let in whatever the quota says.
        case ignoreQuota
        /// Every box is sealed with the same nonce.
        case reuseNonce
        /// What comes from peers is stored under the name that was asked for, whatever it is.
        case storeUnverified
        /// Peers are not told what was forgotten.
        case dropForgetOrders
        /// A file that was changed and has kept its size counts as unchanged.
        case trustSizes
        /// What a block's checksum finds wrong is neither taken from its second copy nor rebuilt from parity.
        case skipParity
        /// What a peer stores for this node is reckoned as if this node always backed up.
        case lopsidedNegotiation
        /// A recovery leaves out the oldest snapshot.
        case recoverLess
        /// A sweep that rewrites packs takes the old ones off the lists, and does not put the new ones there.
        case loseMovedChunks
        /// A page of a committed snapshot's list is not counted as referenced.
        case forgetPage
        /// A sweep leaves one thing where it is that nobody needs.
        case keepGarbage
        /// One peer fewer is taken than replicas are wanted, but for the last.
        case fewerReplicas
        /// Whoever was blocked is let in.
        case welcomeTheBlocked
        /// A peer may speak any version of the protocol.
        case takeAnyVersion

        package var isOn: Bool { Mutant.chosen == self }

        /// Nil when none is switched on.
        package static let chosen: Mutant? = getenv("BAKARE_MUTANT").flatMap { Mutant(rawValue: String(cString: $0)) }
    }
#endif
