internal import BackupFormat
internal import HostFiles
package import Ledger

/// What a peer is to show of the packs that it keeps.
package enum Proof: Hashable {
    case none
    /// A few of the packs that new snapshots need: it has just checked all of them, and said that they are there.
    case sample
    /// That it has all of them, and as many leaves as one audit asks for.
    case whole

    private static let wholeAfterSeconds: Int64 = 86_400

    /// `before` is what was known before the last commits, `generation` that of the peer's vault now, which each of its sweeps raises;
    /// `now` is seconds since 1970. The peer reads every pack to its end that it proves, so not all is asked for at each backup.
    package static func due(before: Replica, after: Replica, generation: UInt64, now: Int64) -> Proof {
        let isOld = isRepeatDue(every: wholeAfterSeconds + 1, since: after.lastProven, now: now)
        if isOld || before.generation != generation || after.isDamaged { return .whole }
        return before.snapshots == after.snapshots ? .none : .sample
    }
}
