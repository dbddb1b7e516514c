internal import BackupFormat
internal import BackupNode
internal import HostFiles
internal import PeerProtocol
internal import Peers
internal import Replication

/// Reads all packs that are kept here, for this node's owner and for others, to their end once in thirty days, a share of them each day:
/// what a disk does to them is found while parity or a peer can still mend it.
package struct DailyScrub {
    package static let shares = 30
    /// Of the time, at most a fifth goes into reading, so that whoever uses the disk meanwhile hardly notices.
    private static let restFactor: UInt64 = 4
    private static let restMaxMilliseconds: UInt64 = 10_000

    private let core: DaemonCore

    package init(_ core: DaemonCore) { self.core = core }

    /// Its one byte is the share that is next.
    private var marker: RawPath { core.home.ledgerDirectory.appending("scrubbed") }

    /// The next share, with rests; one that was not read to its end, as the machine runs on its battery or stops, comes again.
    func run() {
        let share = nextShare()
        let isComplete = run(share: share) { nanoseconds in
            core.rest(milliseconds: Int(min(nanoseconds / 1_000_000 * DailyScrub.restFactor, DailyScrub.restMaxMilliseconds)))
        }
        // Where it cannot be written, the same share comes again.
        if isComplete { try? core.home.disk.replaceFile(marker, with: [UInt8((share + 1) % DailyScrub.shares)]) }
    }

    private func nextShare() -> Int {
        guard let file = try? core.home.disk.openForReading(marker) else { return 0 }
        defer { file.close() }
        var share: UInt8 = 0
        let count = withUnsafeMutableBytes(of: &share) { (try? file.read(at: 0, into: $0)) ?? 0 }
        return count == 1 ? Int(share) % DailyScrub.shares : 0
    }

    /// Returns whether all of the share was read. `rest` is called between two packs with the nanoseconds that the last one took.
    @discardableResult
    package func run(share: Int, rest: (UInt64) -> Void) -> Bool {
        var isComplete = true
        for owner in (try? core.service.owners()) ?? [] {
            let found = core.service.scrub(owner, chosen: { DailyScrub.share(of: $0) == share }) { nanoseconds in
                rest(nanoseconds)
                return !core.isStopping && SystemConditions.isOnBattery() != true
            }
            isComplete = isComplete && found.isComplete
            if found.mended > 0 {
                let were = found.mended == 1 ? "was" : "were"
                core.log("\(describeCount(found.mended, "pack")) had decayed on this node's disk, and \(were) mended from parity")
            }
            if found.beyondRepair.isEmpty { continue }
            if owner == core.owner { bringBack(found.beyondRepair) } else { tell(found.beyondRepair.count, of: owner) }
        }
        return isComplete
    }

    /// Ids are hashes, so that shares are even.
    static func share(of pack: PackID) -> Int { Int(pack.value.words.0 % UInt64(shares)) }

    private func tell(_ count: Int, of owner: OwnerID) {
        let name = core.state.read { $0.roster.book.friend(owner)?.name } ?? owner.hex
        core.log("\(describeCount(count, "pack")) of \(name) decayed on this node's disk beyond repair; \(name) sends them again")
    }

    private func bringBack(_ packs: [PackID]) {
        let count = describeCount(packs.count, "pack")
        let progress = ReplicationProgress(isStopping: { [core] in core.isStopping })
        let links = core.state.read { $0.standing.map(\.connection) }
        do throws(ReplicationError) {
            let lost = try SnapshotDownload(into: core.vault, from: links, progress: progress).replace(packs: packs)
            core.service.noteWhole(packs.filter { lost[$0] == nil }, of: core.owner)
            if lost.isEmpty {
                return core.log("\(count) had decayed on this node's disk beyond repair, and came back from peers")
            }
            core.log(
                "\(count) decayed on this node's disk beyond repair, and \(lost.count) of them no peer that is here has; "
                    + "run `bakare-node check --read-data --repair` when others are")
        } catch {
            if error.code == .stopped { return }
            core.log("\(count) decayed on this node's disk beyond repair, and did not come back from peers: \(error)")
        }
    }
}
