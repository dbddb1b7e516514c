import BackupFormat
import Cryptography
import Daemon
import PeerProtocol
import Peers
import TestSupport
import Testing

@Suite("Roster") struct RosterTests {
    private let owner = OwnerKey(seed: Bytes32(words: (1, 2, 3, 4)))
    private let friend = OwnerKey(seed: Bytes32(words: (5, 6, 7, 8)))

    private func node(_ number: UInt64, of owner: OwnerKey) -> (key: NodeKey, certificate: Certificate) {
        let key = NodeKey(seed: Bytes32(words: (number, number, number, number)))
        return (key, owner.certify(key, name: "node \(number)", permissions: .all, serial: number))
    }

    /// A book that knows an own device 2 and a friend's device 3.
    private func roster() throws -> Roster {
        let (own, theirs) = (node(2, of: owner), node(3, of: friend))
        var book = PeerBook()
        book.saw(own.certificate, at: ["192.0.2.2:4747"], now: 10)
        try book.recovered(theirs.certificate, own: owner.id, at: ["192.0.2.3:4747", "nas.example:1"], now: 10)
        return Roster(book: book, owner: owner.id, device: node(1, of: owner).key.id)
    }

    @Test("known devices are dialled where they are announced first, then where they were, each address once")
    func wanted() throws {
        var roster = try roster()
        let theirs = node(3, of: friend)
        let announced = [PeerAddress(host: "198.51.100.3", port: 4747), PeerAddress(host: "192.0.2.3", port: 4747)]
        roster.found(theirs.key.id, "anything", announced)
        let wanted = roster.wanted.sorted { $0.addresses.count < $1.addresses.count }
        #expect(wanted.map(\.key) == [node(2, of: owner).key.agreementPublicKey, theirs.key.agreementPublicKey])
        #expect(wanted[0].addresses == [PeerAddress(host: "192.0.2.2", port: 4747)])
        #expect(wanted[1].addresses == announced + [PeerAddress(host: "nas.example", port: 1)])
        roster.lost(theirs.key.id)
        #expect(roster.wanted.contains { $0.addresses.first == PeerAddress(host: "192.0.2.3", port: 4747) })
    }

    @Test("whoever was blocked, or whose agreement was ended, is neither dialled nor welcome; strangers are not either")
    func unwelcome() throws {
        var roster = try roster()
        let (own, theirs) = (node(2, of: owner), node(3, of: friend))
        func identity(_ node: (key: NodeKey, certificate: Certificate)) -> PeerIdentity {
            PeerIdentity(agreementKey: node.key.agreementPublicKey, certificate: node.certificate, agent: "test")
        }
        #expect(roster.isWelcome(identity(own)))
        #expect(roster.isWelcome(identity(theirs)))
        // A device of this owner that nobody has seen is one all the same: its certificate says so.
        #expect(roster.isWelcome(identity(node(9, of: owner))))
        #expect(!roster.isWelcome(identity(node(4, of: OwnerKey(seed: Bytes32(words: (9, 9, 9, 9)))))))
        #expect(!roster.isWelcome(PeerIdentity(agreementKey: own.key.agreementPublicKey, certificate: nil, agent: "test")))
        let isBlocked = roster.book.block(own.key.id)
        let isUnpaired = roster.book.unpair(friend.id, now: 20)
        #expect(isBlocked && isUnpaired)
        #expect(!roster.isWelcome(identity(own)))
        #expect(!roster.isWelcome(identity(theirs)))
        #expect(roster.wanted.isEmpty)
    }

    @Test("announced nodes that nobody knows are to be asked; this node itself is not")
    func unknown() throws {
        var roster = try roster()
        let stranger = node(7, of: friend).key.id
        let address = PeerAddress(host: "198.51.100.7", port: 4747)
        roster.found(stranger, "x", [address])
        roster.found(node(1, of: owner).key.id, "me", [address])
        roster.found(node(2, of: owner).key.id, "known", [address])
        #expect(roster.unknown.map(\.id) == [stranger])
        #expect(roster.unknown.first?.addresses == [address])
    }

    @Test("a friend's device takes nobody's place by another's id; the owner's own have theirs, whoever came first")
    func anothersID() throws {
        var roster = try roster()
        func certified(_ id: DeviceID, by owner: OwnerKey) -> PeerIdentity {
            let key = NodeKey(seed: Bytes32(words: (77, 77, 77, 77)))
            var certificate = owner.certify(key, name: "another", permissions: .all, serial: 9)
            certificate.device = id
            return PeerIdentity(agreementKey: key.agreementPublicKey, certificate: certificate, agent: "test")
        }
        // An own device's, this node's own, and none's.
        #expect(!roster.isWelcome(certified(node(2, of: owner).key.id, by: friend)))
        #expect(!roster.isWelcome(certified(roster.device, by: friend)))
        #expect(roster.isWelcome(certified(DeviceID(Bytes32(words: (8, 8, 8, 8))), by: friend)))
        // One of another friend.
        let third = OwnerKey(seed: Bytes32(words: (6, 6, 6, 6)))
        try roster.book.recovered(node(5, of: third).certificate, own: owner.id, at: [], now: 11)
        #expect(!roster.isWelcome(certified(node(5, of: third).key.id, by: friend)))
        #expect(roster.isWelcome(certified(node(5, of: third).key.id, by: third)))
        // Whoever took an id loses it with the agreement.
        let isUnpaired = roster.book.unpair(third.id, now: 20)
        #expect(isUnpaired && roster.isWelcome(certified(node(5, of: third).key.id, by: friend)))
        // A friend was there before with the id of a device that is the owner's own.
        #expect(roster.isWelcome(certified(node(3, of: friend).key.id, by: owner)))
    }
}
