package import BackupFormat
package import BackupNode
internal import HostFiles
package import Ledger
package import Peers

extension PeerReport {
    /// What the book and the ledger know of peers, without the running node.
    package static func offline(_ home: Home, _ keys: HomeKeys) throws(NodeError) -> [PeerReport] {
        let book: PeerBook
        do { book = try PeerBookFile(disk: home.disk, directory: home.peersDirectory).read() } catch {
            throw NodeError(.home, "read the peers", "\(error)")
        }
        let replicas = ReplicaTable.read(home.disk, directory: home.ledgerDirectory)
        return known(book, replicas, owner: keys.publisher.owner, device: keys.identity.key.id)
    }

    package static func known(_ book: PeerBook, _ replicas: ReplicaTable, owner: OwnerID, device: DeviceID) -> [PeerReport] {
        book.devices.filter { $0.certificate.device != device }.map { known in
            let certificate = known.certificate
            let isOwn = certificate.owner == owner
            let friend = book.friend(certificate.owner)
            let trust: Trust = known.isBlocked || (!isOwn && friend?.unpairedAt != nil) ? .blocked : isOwn ? .own : .friend
            let replica = replicas[certificate.device]
            var report = PeerReport(id: certificate.device, name: certificate.shownName, isOwn: isOwn, trust: trust)
            report.addresses = known.addresses
            report.offeredBytes = replica.grantedBytes
            report.usedBytes = replica.usedBytes
            report.packs = replica.packs
            report.snapshots = replica.snapshots.count
            report.isDamaged = replica.isDamaged
            let seen = max(known.lastSeen, replica.lastSeen)
            report.lastSeen = seen > 0 ? seen : nil
            report.lastProven = replica.lastProven > 0 ? replica.lastProven : nil
            report.fingerprint = Peers.fingerprint(certificate.agreementKey)
            return report
        }
    }
}

extension DaemonCore {
    /// All peers as they stand now: own devices first, then friends', then those that are only announced.
    func peerReports() -> [PeerReport] {
        let (book, announced, sessions, replicas) = state.read { state in
            (state.roster.book, state.roster.announced, state.sessions, state.replicas)
        }
        var reports = PeerReport.known(book, replicas, owner: owner, device: keys.identity.key.id)
        for session in sessions where session.isPaired && session.ended == nil {
            guard let index = reports.firstIndex(where: { $0.id == session.device }) else { continue }
            let (agreement, offer) = (session.agreement, session.theirOffer)
            reports[index].isOnline = true
            reports[index].freeBytes = offer.free
            reports[index].offeredBytes = agreement.storedThere
            reports[index].grantedBytes = agreement.storedHere
            reports[index].roles =
                (agreement.isPersisterHere ? ["publisher"] : []) + (agreement.isPublisherHere ? ["persister"] : [])
            reports[index].lastSeen = now
            if let owner = session.connection.peer.certificate?.owner {
                reports[index].keptBytes = service.usage(of: owner)?.usedBytes ?? 0
            }
        }
        for (id, node) in announced where id != keys.identity.key.id {
            if let index = reports.firstIndex(where: { $0.id == id }) {
                let known = reports[index].addresses
                reports[index].addresses =
                    node.addresses.map(\.description)
                    + known.filter { text in !node.addresses.contains { $0.description == text } }
            } else {
                var report = PeerReport(id: id, name: shownName(node.name), isOwn: false, trust: .discovered)
                report.addresses = node.addresses.map(\.description)
                report.isOnline = true
                reports.append(report)
            }
        }
        func rank(_ trust: PeerReport.Trust) -> Int {
            switch trust {
            case .own: 0
            case .friend: 1
            case .discovered: 2
            case .blocked: 3
            }
        }
        return reports.sorted { (rank($0.trust), $0.name, $0.id) < (rank($1.trust), $1.name, $1.id) }
    }
}
