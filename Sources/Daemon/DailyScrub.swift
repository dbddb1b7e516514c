package import BackupFormat
internal import BackupNode
internal import HostFiles
internal import Ledger
internal import PeerProtocol
internal import Peers
internal import Replication

/// Reads all packs that are kept here, for this node's owner and for others, to their end once in thirty days, a share of them each day:
/// what a disk does to them is found while parity or a peer can still mend it.
package struct DailyScrub {
    package static let shares = 30
    /// Rests are so many times as long as the reading of a pack, up to ten seconds: whoever uses the disk meanwhile hardly notices.
    private static let restFactor: UInt64 = 4
    private static let restMaxMilliseconds: UInt64 = 10_000

    private let core: DaemonCore

    package init(_ core: DaemonCore) { self.core = core }

    /// Its first byte is the share that is next; then come the packs of others that are known to be beyond repair, 32 bytes each, which are
    /// looked at each time, as are the own ones that ``KnownLosses`` has. Its time of change is when the last share was done.
    private var marker: RawPath { core.home.ledgerDirectory.appending("scrubbed") }
    private static let knownMax = 4096

    /// The next share, with rests, if a day has passed; one that was not read to its end, as the machine runs on its battery or stops,
    /// comes again from its start.
    package func runIfDue() {
        guard core.isDayOver(since: marker), SystemConditions.isOnBattery() != true else { return }
        let before = ((try? core.home.disk.readFile(marker, limit: 1 + DailyScrub.knownMax * Bytes32.count)) ?? nil) ?? []
        let share = Int(before.first ?? 0) % DailyScrub.shares
        let others = Set(identifiers(Array(before.dropFirst())).map { PackID($0) })
        let own = KnownLosses.read(core.home.disk, directory: core.home.ledgerDirectory).damaged
        let found = run(share: share, besides: others.union(own)) { nanoseconds in
            core.rest(milliseconds: Int(min(nanoseconds / 1_000_000 * DailyScrub.restFactor, DailyScrub.restMaxMilliseconds)))
        }
        remember(found.beyondRepair, share: share, besides: own, isComplete: found.isComplete)
        guard found.isComplete else { return }
        let next =
            [UInt8((share + 1) % DailyScrub.shares)] + found.ofOthers.prefix(DailyScrub.knownMax).flatMap { $0.value.bytes }
        // Where it cannot be written, the same share comes again.
        try? core.home.disk.replaceFile(marker, with: next)
    }

    /// Commands show it. The share, and what was known before, was looked at, if it was not stopped; what a check has found meanwhile stays.
    private func remember(_ packs: [PackID], share: Int, besides known: Set<PackID>, isComplete: Bool) {
        let (disk, folder) = (core.home.disk, core.home.ledgerDirectory)
        var losses = KnownLosses.read(disk, directory: folder)
        if isComplete {
            losses.packs = losses.packs.filter { pack, kind in
                kind != .damaged || !known.contains(pack) && DailyScrub.share(of: pack) != share
            }
        }
        for pack in packs { losses.packs[pack] = .damaged }
        // Where it cannot be written, it is found again.
        try? losses.write(disk, directory: folder)
    }

    /// Reads a share, and the packs `besides`. Returns whether all was read, what is beyond repair and did not come back, and what is of
    /// others. `rest` is called between two packs with the nanoseconds that the last one took.
    @discardableResult
    package func run(
        share: Int, besides: Set<PackID> = [], rest: (UInt64) -> Void
    ) -> (isComplete: Bool, beyondRepair: [PackID], ofOthers: [PackID]) {
        guard let owners = try? core.service.owners() else { return (false, [], []) }
        var isComplete = true
        var beyondRepair: [PackID] = []
        var ofOthers: [PackID] = []
        for owner in owners {
            let chosen: (PackID) -> Bool = { DailyScrub.share(of: $0) == share || besides.contains($0) }
            let found = core.service.scrub(owner, chosen: chosen) { nanoseconds in
                rest(nanoseconds)
                return !core.isStopping && SystemConditions.isOnBattery() != true
            }
            isComplete = isComplete && found.isComplete
            if found.mended > 0 {
                let were = found.mended == 1 ? "was" : "were"
                core.log("\(describeCount(found.mended, "pack")) had decayed on this node's disk, and \(were) mended from parity")
            }
            if found.beyondRepair.isEmpty { continue }
            if owner == core.owner {
                beyondRepair += bringBack(found.beyondRepair)
            } else {
                tell(found.beyondRepair.count, of: owner)
                ofOthers += found.beyondRepair
            }
        }
        return (isComplete, beyondRepair, ofOthers)
    }

    /// Ids are hashes, so that shares are even.
    static func share(of pack: PackID) -> Int { Int(pack.value.words.0 % UInt64(shares)) }

    private func tell(_ count: Int, of owner: OwnerID) {
        let name = core.state.read { $0.roster.book.friend(owner)?.name } ?? owner.hex
        core.log("\(describeCount(count, "pack")) of \(name) decayed on this node's disk beyond repair; \(name) sends them again")
    }

    /// Returns those that did not come.
    private func bringBack(_ packs: [PackID]) -> [PackID] {
        let count = describeCount(packs.count, "pack")
        let progress = ReplicationProgress(isStopping: { [core] in core.isStopping })
        do throws(ReplicationError) {
            let lost = try SnapshotDownload(into: core.vault, from: core.links, progress: progress).replace(packs: packs)
            core.service.noteWhole(packs.filter { lost[$0] == nil }, of: core.owner)
            if lost.isEmpty {
                core.log("\(count) had decayed on this node's disk beyond repair, and came back from peers")
                return []
            }
            core.log(
                "\(count) decayed on this node's disk beyond repair, and \(lost.count) of them no peer that is here has; "
                    + "they are asked again each day")
            return packs.filter { lost[$0] != nil }
        } catch {
            if error.code != .stopped {
                core.log("\(count) decayed on this node's disk beyond repair, and did not come back from peers: \(error)")
            }
            return packs
        }
    }
}
