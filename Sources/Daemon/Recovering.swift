package import Archive
package import BackupFormat
package import BackupNode
internal import Cryptography
internal import HostFiles
internal import Ledger
internal import NodeRuntime
internal import PeerProtocol
internal import Peers
internal import Replication
internal import Synchronization
internal import Vault

/// What was brought back from peers.
package struct RecoveryReport: Sendable, Hashable {
    /// The peers that keep something for this owner, by name.
    package var peers: [String] = []
    /// Why others that were asked were of no use.
    package var unused: [String] = []
    package var snapshots = 0
    package var receivedBytes = 0
    /// Packs of data that were left with the peers.
    package var packsLeft = 0
    /// Snapshots that no peer has whole, with the reason.
    package var incomplete: [SnapshotID: String] = [:]
}

extension Home {
    private static let discoverySeconds = 6

    /// Finds the peers that keep something for this home's owner, at `addresses` and, if `discovers`, on the local network, and brings all
    /// snapshots into the vault; of data only what it takes to read it from the peers, unless `bringsData`. They are in the peer book then.
    ///
    /// The owner key proves in each session whose vault may be shown; nothing else has to be known.
    package func recoverFromPeers(
        _ keys: HomeKeys, at addresses: [PeerAddress], discovers: Bool, bringsData: Bool, _ progress: Progress,
        log: @escaping @Sendable (String) -> Void
    ) throws(NodeError) -> RecoveryReport {
        guard let owner = keys.owner else {
            throw NodeError(.key, "recover", "the owner key is missing", path: keysDirectory)
        }
        let setup = HandshakeSetup(
            key: keys.identity.key, certificate: keys.identity.certificate, agent: "bakare-node")
        return try CommandSessions.during(setup, owner: owner.id) { transport throws(NodeError) in
            var search = RecoverySearch(
                home: self, keys: keys, owner: owner, transport: transport, discovers: discovers, log: log)
            for address in addresses { search.ask([address], progress) }
            try search.discover(seconds: Home.discoverySeconds, progress)
            try search.askAgain(progress)
            guard !search.links.isEmpty else {
                let unused = search.unused
                throw NodeError(
                    .failed, "recover",
                    unused.isEmpty
                        ? "no node answers on the local network; name one that keeps your backups with --peer HOST:PORT"
                        : "nobody who was asked keeps backups of this owner: \(unused.joined(separator: "; ")). "
                            + "See that `bakare-node start` runs there, or name another with --peer HOST:PORT")
            }
            return try search.bring(progress, bringsData: bringsData)
        }
    }
}

/// Whether a stub is of a pack of data that a device of the owner made.
private func isRight(_ stub: PackStub, _ footers: FooterCipher) -> Bool {
    let footer = stub.sealedFooter.withUnsafeBytes { sealed in
        stub.header.withUnsafeBytes { try? footers.open(sealed, associated: $0) }
    }
    let found = footer?.withUnsafeBytes { try? PackFrame.decodeFooter($0, chunkBytes: stub.chunkBytes) }
    return found?.kind == .data
}

/// Looks for peers that keep an owner's vault, and brings it back from those found.
private struct RecoverySearch {
    let home: Home
    let keys: HomeKeys
    let owner: OwnerKey
    let transport: PeerTransport
    let discovers: Bool
    let log: @Sendable (String) -> Void
    var report = RecoveryReport()
    private(set) var links: [PeerConnection] = []
    private var met: Set<Bytes32> = []
    /// Where those are that keep something, by their keys.
    private var useful: [(key: Bytes32, addresses: [PeerAddress])] = []
    /// Where nobody answered, or not in time, and why.
    private var unreached: [(addresses: [PeerAddress], reason: String)] = []

    init(
        home: Home, keys: HomeKeys, owner: OwnerKey, transport: PeerTransport, discovers: Bool,
        log: @escaping @Sendable (String) -> Void
    ) {
        self.home = home
        self.keys = keys
        self.owner = owner
        self.transport = transport
        self.discovers = discovers
        self.log = log
    }

    /// Asks whoever is there; notes why not if nothing comes of it.
    mutating func ask(_ addresses: [PeerAddress], _ progress: Progress) {
        let shown = addresses.map(\.description).joined(separator: ", ")
        do {
            let connection = try transport.connect(to: addresses, peer: nil, token: nil)
            let isNew = met.insert(connection.peer.agreementKey).inserted
            let earlier = links.firstIndex { $0.peer.agreementKey == connection.peer.agreementKey }
            if !isNew, earlier == nil { return connection.close(.leaving) }
            let name = connection.peer.certificate?.shownName ?? shown
            let state: VaultState?
            do { state = try CommandSessions.vault(of: owner, at: connection) { progress.isStopping } } catch {
                met.remove(connection.peer.agreementKey)
                unreached.append((addresses, "\(name): \(error)"))
                return connection.close(.leaving)
            }
            guard let state else {
                report.unused.append("\(name) keeps nothing for this owner")
                return connection.close(.leaving)
            }
            if let earlier {
                // The peer keeps to the later session.
                links[earlier].close(.leaving)
                links[earlier] = connection
            } else {
                log("\(name) keeps \(describeCount(Int(clamping: state.snapshots), "snapshot")) for this owner")
                report.peers.append(name)
                links.append(connection)
            }
            try note(connection, addresses)
        } catch {
            let failure = error as? PeerProtocolError
            // It names the address already.
            unreached.append((addresses, failure?.code == .unreached ? failure?.detail ?? shown : "\(shown): \(error)"))
        }
    }

    /// Why those were of no use that were asked, and those that could not be.
    var unused: [String] { report.unused + unreached.map(\.reason) }

    /// Asks those once more who did not answer, where nobody has been found: a line may lose much of what it carries.
    mutating func askAgain(_ progress: Progress) throws(NodeError) {
        guard links.isEmpty, !unreached.isEmpty else { return }
        let again = unreached
        unreached = []
        for (addresses, _) in again {
            if progress.isStopping { throw NodeError(.interrupted, "recover", "interrupted") }
            ask(addresses, progress)
        }
    }

    /// Notes which peer says to have which snapshots, for `status`: nothing of it counts before `start` has had it proven.
    private func noteHolders(_ vault: Vault) {
        guard let here = try? vault.snapshots() else { return }
        var table = ReplicaTable.read(home.disk, directory: home.ledgerDirectory)
        for link in links {
            guard let device = link.peer.certificate?.device, let there = try? PeerVault(link).snapshots(of: Set(here)) else {
                continue
            }
            // Of which revision is not known: the least.
            for id in there where table[device].snapshots[id] == nil { table[device].snapshots[id] = 0 }
            table[device].lastSeen = currentTime() / 1_000_000_000
            if let state = try? PeerVault(link).state() {
                table[device].usedBytes = state.usedBytes
                table[device].packs = state.packs
            }
        }
        // A cache: without it, `status` knows less until `start` runs.
        try? home.disk.makeDirectories(home.ledgerDirectory)
        try? table.write(home.disk, directory: home.ledgerDirectory)
    }

    /// Notes where one is that keeps something.
    private mutating func note(_ link: PeerConnection, _ addresses: [PeerAddress]) throws(PeerBookError) {
        if let index = useful.firstIndex(where: { $0.key == link.peer.agreementKey }) {
            // Where it was last comes first.
            let others = useful[index].addresses.filter { !addresses.contains($0) }
            useful[index].addresses = Array((addresses + others).prefix(RecoverySearch.addressesMax))
        } else {
            useful.append((link.peer.agreementKey, addresses))
        }
        guard let certificate = link.peer.certificate else { return }
        let (own, now) = (owner.id, currentTime() / 1_000_000_000)
        try home.peerBook().change { book throws(PeerBookError) in
            try book.recovered(certificate, own: own, at: addresses.map(\.description), now: now)
        }
    }

    /// Asks all that the local network announces, for so long, or until Ctrl-C; nobody where that is not wanted.
    mutating func discover(seconds: Int, _ progress: Progress) throws(NodeError) {
        guard discovers else { return }
        let local = LocalSearch(keys.identity.key.id, log: log)
        for _ in 0..<(seconds * 10) {
            if progress.isStopping { throw NodeError(.interrupted, "recover", "interrupted") }
            switch local.next() {
            case .found(let addresses): ask(addresses, progress)
            case .nothing: continue
            case .unavailable: return
            }
        }
    }

    /// Fetches all there is, from all at once; goes on over broken connections as long as something comes.
    mutating func bring(_ progress: Progress, bringsData: Bool) throws(NodeError) -> RecoveryReport {
        let replication = ReplicationProgress(
            isStopping: { progress.isStopping },
            onReceived: { progress.bytes.add($0, ordering: .relaxed) })
        let vault: Vault
        do { vault = try Vault(disk: home.disk, directory: home.vaultDirectory, owner: owner.id, create: true) } catch {
            throw NodeError(.failed, "recover", "\(error)")
        }
        let footers = owner.publisherKeys.footerCipher()
        let isRightStub: @Sendable (PackStub) -> Bool = { isRight($0, footers) }
        var failures = 0
        while true {
            let before = replication.bytesReceived
            do throws(ReplicationError) {
                guard !links.isEmpty else { throw ReplicationError(.cutOff, "no peer is reached any more") }
                let download = try SnapshotDownload(
                    into: vault, from: links, progress: replication, isRightStub: bringsData ? nil : isRightStub,
                    replacesStubs: bringsData
                ).run()
                report.incomplete = download.incomplete
                report.receivedBytes = replication.bytesReceived
                // It may have more than the others.
                if let unheard = download.unheard, unheard.code == .cutOff { throw unheard }
                noteHolders(vault)
                for link in links { link.close(.leaving) }
                report.unused = unused
                report.packsLeft = (try? vault.usage().stubs) ?? 0
                report.snapshots = (try? vault.snapshots().count) ?? download.committed.count
                return report
            } catch {
                if progress.isStopping { throw NodeError(.interrupted, "recover", "interrupted; run it again to go on") }
                failures = replication.bytesReceived > before ? 1 : failures + 1
                guard error.code == .cutOff, failures <= RecoverySearch.failuresMax else {
                    throw NodeError(.failed, "recover", "\(error); run it again to go on")
                }
                log("\(error); trying again")
                try reconnect(progress, after: failures)
            }
        }
    }

    /// About two minutes, in which a line that was cut may be mended.
    private static let failuresMax = 16
    private static let pauseSecondsMax = 10
    private static let searchSeconds = 3
    /// Of one peer.
    private static let addressesMax = 16

    private mutating func reconnect(_ progress: Progress, after failures: Int) throws(NodeError) {
        for link in links { link.close(.leaving) }
        links = []
        met = []
        report.peers = []
        report.unused = []
        unreached = []
        let pause = ConditionLock(())
        for _ in 0..<(min(failures, RecoverySearch.pauseSecondsMax) * 10) {
            if progress.isStopping { throw NodeError(.interrupted, "recover", "interrupted; run it again to go on") }
            _ = pause.wait(milliseconds: 100) { _ -> Void? in nil }
        }
        for (_, addresses) in useful { ask(addresses, progress) }
        // They may have other addresses by now.
        if links.isEmpty { try discover(seconds: RecoverySearch.searchSeconds, progress) }
    }
}
