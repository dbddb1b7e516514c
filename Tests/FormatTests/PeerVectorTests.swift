import BackupFormat
import Cryptography
import FuzzTargets
import Peers
import Testing

@Suite("Vectors: the book of peers and invitations")
struct PeerVectorTests {
    @Test("books of another program's making say what they should, and encode to the same bytes")
    func books() throws {
        #expect(PeerBook().encode() == (try vector("peer-books", "empty")))
        let bytes = try vector("peer-books", "full")
        let book = try PeerBook(decoding: bytes)
        #expect(book.encode() == bytes)
        let former = try #require(book.friend(OwnerID(identifier(40))))
        #expect(former.name == "former" && former.quotaBytes == 0 && former.promisedBytes == .max)
        #expect(former.pairedAt == 1_770_000_000 && former.unpairedAt == -1)
        let friend = try #require(book.friends.first { $0.isPaired })
        #expect(friend.name == "Zoë" && friend.quotaBytes == 500 << 30 && friend.promisedBytes == 200 << 30)
        #expect(friend.pairedAt == 1_780_000_000 && book.friends.count == 2)
        let own = try #require(book.device(node.id))
        #expect(own.certificate == owner.certify(node, name: "läptop", permissions: .all, serial: 1))
        #expect(own.addresses == ["nas.example:4411", "[2001:db8::7]:4411"] && own.lastSeen == 1_780_000_001 && !own.isBlocked)
        let attic = NodeKey(seed: try #require(Bytes32(bytes: pattern(32, 14))))
        let theirs = try #require(book.device(agreementKey: attic.agreementPublicKey))
        #expect(theirs.id == attic.id && theirs.owner == friend.owner && theirs.name == "attic" && theirs.isBlocked)
        #expect(theirs.lastSeen == -2 && theirs.addresses.isEmpty && book.devices.count == 2)
        try verifyCertificate(theirs.certificate, owner: friend.owner)
        #expect(Set(book.invitations.map(\.token)) == [identifier(41), identifier(42)])
        let open = try #require(book.invitations.first { $0.token == identifier(41) })
        #expect(open.kind == .friend && open.quotaBytes == 500 << 30 && open.expires == 1_780_600_000)
        #expect(book.invitations.first { $0.token == identifier(42) }?.kind == .writeOnlyDevice)
    }

    @Test("invitations of another program's making say what they should, and become the same bytes and text")
    func invitations() throws {
        let friend = Invitation(
            inviterKey: node.agreementPublicKey, inviterOwner: owner.id, token: identifier(41), kind: .friend,
            quotaBytes: 500 << 30, expires: 1_780_600_000, addresses: ["nas.example:4411", "[2001:db8::7]:4411"],
            name: "Zoë's NAS")
        let device = Invitation(
            inviterKey: node.agreementPublicKey, inviterOwner: owner.id, token: identifier(42), kind: .writeOnlyDevice,
            quotaBytes: 0, expires: 1_780_000_600, addresses: [], name: "")
        for (name, invitation) in [("friend", friend), ("write-only-device", device)] {
            let bytes = try vector("invitations", name)
            let text = try vector("invitations", name + "-text")
            #expect(invitation.encode() == bytes)
            #expect(Array(invitation.text.utf8) == text)
            #expect(try bytes.withUnsafeBytes { try Invitation(decoding: $0) } == invitation)
            #expect(try Invitation(String(decoding: text, as: UTF8.self)) == invitation)
        }
    }
}
