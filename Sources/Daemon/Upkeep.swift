internal import BackupFormat
internal import BackupNode
package import Discovery
internal import HostFiles
internal import Peers
internal import Placement
internal import Vault

/// What is done again and again while a node runs, each at its own pace. Called several times a second, on one thread.
package struct Upkeep {
    private let core: DaemonCore
    private var offers = Pace(seconds: 2)
    private var saving = Pace(seconds: 5)
    private var looking = Pace(seconds: 15)
    private var announcing = Pace(seconds: 60)
    private var snapshots: Set<SnapshotID>?
    private var announced: Announcement?
    private var news = -1
    /// By the monotonic clock.
    private var aheadSince: UInt64?

    package init(_ core: DaemonCore) { self.core = core }

    package mutating func tick(announce: (Announcement) -> Void) {
        let now = core.now
        let newsNow = core.news
        if offers.isDue(now) || newsNow != news {
            news = newsNow
            renewOffers()
        }
        if saving.isDue(now) { core.saveReplicas() }
        if looking.isDue(now) { look() }
        if announcing.isDue(now) {
            let announcement = core.announcement()
            if announcement != announced {
                announce(announcement)
                announced = announcement
            }
        }
    }

    private func renewOffers() {
        let free = (try? core.home.disk.freeBytes(core.home.vaultDirectory)).map { UInt64(max(0, $0)) } ?? 0
        let wanted = core.wantedBytes
        let announced = announcedFree(free, reserve: UInt64(core.configuration.reserveBytes))
        /// Each owner's, for all of their devices.
        var usages: [OwnerID: VaultTotals?] = [:]
        for session in core.state.read({ $0.sessions }) {
            guard session.isPaired, let owner = session.connection.peer.certificate?.owner else { continue }
            let usage = usages[owner] ?? core.service.usage(of: owner)
            usages[owner] = .some(usage)
            session.renewOffer(freeBytes: announced, wantedBytes: wanted, usage: usage)
        }
    }

    /// Notices what other processes have done: backups, orders, pairings.
    private mutating func look() {
        core.reloadBookIfChanged()
        correctTimes()
        do {
            let isNew = try core.orders.refresh()
            var there = Set(try core.vault.snapshots())
            if isNew || snapshots != there {
                there.subtract(try forgetAgain(there))
                core.poke()
            }
            snapshots = there
        } catch { core.log("\(error)") }
    }

    /// A clock that was fast has left times that are still to come. Not at once: this clock may be slow, as before it hears of the right time.
    private mutating func correctTimes() {
        guard core.areReplicasAhead else { return aheadSince = nil }
        let steady = monotonicNanoseconds()
        let since = aheadSince ?? steady
        aheadSince = since
        guard steady - since >= Upkeep.aheadNanosecondsMax else { return }
        core.correctReplicas()
        aheadSince = nil
    }

    private static let aheadNanosecondsMax: UInt64 = 3600 * 1_000_000_000

    /// What was forgotten stays so, though it came back from a peer that had not heard: one that was away, or went on with an old disk.
    private func forgetAgain(_ there: Set<SnapshotID>) throws -> [SnapshotID] {
        guard there.contains(where: { core.orders.forbids($0) }) else { return [] }
        var gone: [SnapshotID] = []
        for order in core.orders.all where order.snapshots.contains(where: there.contains) {
            gone += try core.vault.forget(order)
        }
        return gone
    }

    private struct Pace {
        let seconds: Int64
        var last: Int64 = .min

        init(seconds: Int64) { self.seconds = seconds }

        mutating func isDue(_ now: Int64) -> Bool {
            guard isRepeatDue(every: seconds, since: last, now: now) else { return false }
            last = now
            return true
        }
    }
}
