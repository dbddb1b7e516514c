package import BackupFormat
internal import HostFiles

/// Which packs a sweep may take off the lists of snapshots, and rewrite.
package enum SweepScope: Sendable {
    /// All: somebody asked for it, here and now.
    case everything
    /// Those whose turn it is for this device. Where several devices of one owner keep the same snapshots, and each wrote them new
    /// lists every day, the lists would go back and forth between them for ever.
    case ownTurn
}

/// Whose turn it is to rewrite a pack: of the devices which made snapshots that list it, the one with the smallest id.
/// Devices count that made a snapshot lately and may forget; where there are none, it is anybody's turn.
package struct PackKeepers {
    private struct Device {
        var newest: Int64
        /// Whether one of its snapshots bears its own signature still, and whether such a signature may revise lists.
        var isSeen = false
        var mayRevise = false
    }

    private struct ListedPage: Hashable {
        let device: DeviceID
        let page: PageID
    }

    private let this: DeviceID
    /// Nanoseconds since 1970.
    private let now: Int64
    private var devices: [DeviceID: Device] = [:]
    private var pages: Set<ListedPage> = []
    private var keepers: [UInt32: DeviceID] = [:]

    /// A device that made no snapshot for so long leaves its packs to others.
    package static let absenceNanoseconds: Int64 = 30 * 86_400 * 1_000_000_000

    package init(this: DeviceID, now: Int64) {
        self.this = this
        self.now = now
    }

    package mutating func add(_ record: SnapshotRecord, time: Int64) {
        var device = devices[record.device] ?? Device(newest: time)
        device.newest = max(device.newest, time)
        if record.certificate.device == record.device {
            device.isSeen = true
            if record.certificate.permissions.contains(.forget) { device.mayRevise = true }
        }
        devices[record.device] = device
        for page in record.pages { pages.insert(ListedPage(device: record.device, page: page.id)) }
    }

    /// Once all snapshots are added. `packs` answers what is on a page, by number.
    package mutating func settle<Failure: Error>(_ packs: (PageID) throws(Failure) -> [UInt32]) throws(Failure) {
        for listed in pages {
            guard let device = devices[listed.device], device.mayRevise || !device.isSeen else { continue }
            guard elapsed(since: device.newest, now: now) < PackKeepers.absenceNanoseconds else { continue }
            for pack in try packs(listed.page) {
                keepers[pack] = keepers[pack].map { min($0, listed.device) } ?? listed.device
            }
        }
    }

    package func isTurn(_ pack: UInt32) -> Bool { keepers[pack].map { $0 == this } ?? true }
}
