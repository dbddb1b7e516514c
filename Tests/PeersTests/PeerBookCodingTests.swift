import BackupFormat
import Cryptography
import PeerProtocol
import Peers
import TestSupport
import Testing

@Suite("The book of peers as bytes")
struct PeerBookCodingTests {
    /// The contents around a record.
    private func contents(_ record: [UInt8]) -> [UInt8] { record + sha256(record).bytes }

    private func record(_ friends: [[UInt8]], _ devices: [[UInt8]], _ invitations: [[UInt8]]) -> [UInt8] {
        var writer = ByteWriter()
        writer.raw(Array("bakareBK\u{1}".utf8))
        for parts in [friends, devices, invitations] {
            writer.count(parts.count)
            for part in parts { writer.raw(part) }
        }
        return writer.bytes
    }

    private func friend(_ owner: UInt8, name: String = "a", mark: UInt8 = 0) -> [UInt8] {
        [UInt8](repeating: owner, count: 32) + [UInt8(name.utf8.count)] + Array(name.utf8) + [1, 2, 3, mark]
            + (mark == 0 ? [] : [4])
    }

    private func device(_ certificate: Certificate, blocked: UInt8 = 0, addresses: [String] = []) -> [UInt8] {
        var writer = ByteWriter()
        writer.byteString(certificate.encode())
        writer.byte(blocked)
        writer.signedVarint(bookNow)
        writer.count(addresses.count)
        for address in addresses { writer.byteString(Array(address.utf8)) }
        return writer.bytes
    }

    private func invitation(_ token: UInt8, kind: UInt8 = 1) -> [UInt8] { [UInt8](repeating: token, count: 32) + [kind, 5, 6] }

    private func code(_ record: [UInt8]) -> FormatError.Code? {
        do { _ = try PeerBook(decoding: contents(record)) } catch { return error.code }
        return nil
    }

    @Test("gives back what was written, byte for byte", arguments: 0..<40 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var choices = Choices(seed: seed)
        let book = try PeerBook.any(&choices)
        let bytes = book.encode()
        let again = try PeerBook(decoding: bytes)
        #expect(again == book)
        #expect(again.encode() == bytes)
    }

    @Test("refuses contents with any one bit changed, and any that are cut short or go on")
    func damage() throws {
        var choices = Choices(seed: 5)
        let bytes = try PeerBook.any(&choices).encode()
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1 << UInt8(choices.below(8))
            #expect(throws: FormatError.self, "byte \(index)") { try PeerBook(decoding: changed) }
            #expect(throws: FormatError.self) { try PeerBook(decoding: Array(bytes[..<index])) }
        }
        let record = Array(bytes.dropLast(32))
        for count in record.indices { #expect(code(Array(record[..<count])) != nil, "\(count) bytes") }
        #expect(code(record + [0]) == .trailing)
        #expect(code([]) == .truncated)
        #expect(throws: FormatError.self) { try PeerBook(decoding: []) }
    }

    @Test("refuses another kind and a later version")
    func versions() {
        var later = record([], [], [])
        #expect(code(later) == nil)
        later[8] = 2
        #expect(code(later) == .unknown)
        #expect(code(Array("bakareOK\u{1}".utf8) + [0, 0, 0]) == .unknown)
    }

    @Test("refuses friends, devices and invitations that are out of order, twice there, or more than there may be")
    func order() {
        #expect(code(record([friend(1), friend(2)], [], [])) == nil)
        #expect(code(record([friend(2), friend(1)], [], [])) == .inconsistent)
        #expect(code(record([friend(1), friend(1)], [], [])) == .inconsistent)
        #expect(code(record((0...UInt8(Limits.friendsMax)).map { friend($0) }, [], [])) == .outOfRange)
        let owner = OwnerKey.generate()
        let nodes = (0..<40).map { _ in BookNode(owner: owner) }.sorted { $0.key.id < $1.key.id }
        let devices = nodes.map { device($0.certificate) }
        #expect(code(record([], Array(devices.prefix(32)), [])) == nil)
        #expect(code(record([], Array(devices.prefix(33)), [])) == .outOfRange)
        #expect(code(record([], [devices[1], devices[0]], [])) == .inconsistent)
        #expect(code(record([], [devices[0], devices[0]], [])) == .inconsistent)
        let sameKey = nodes[0].certified(serial: 1, device: nodes[1].key.id)
        #expect(code(record([], [devices[0], device(sameKey)], [])) == .inconsistent)
        #expect(code(record([], [], [invitation(1), invitation(2)])) == nil)
        #expect(code(record([], [], [invitation(2), invitation(1)])) == .inconsistent)
        #expect(code(record([], [], [invitation(1), invitation(1)])) == .inconsistent)
        #expect(code(record([], [], (0...UInt8(Limits.invitationsMax)).map { invitation($0) })) == .outOfRange)
        var many = ByteWriter()
        many.raw(Array("bakareBK\u{1}\0".utf8))
        many.count(Limits.devicesMax + 1)
        #expect(code(many.bytes) == .outOfRange)
    }

    @Test("refuses names that could act on a terminal, addresses that are none, and marks and kinds that it does not know")
    func fields() {
        let certificate = BookNode().certificate
        for name in ["", " a", "a ", "a\u{1b}", "\u{202e}a", "a\nb"] {
            #expect(code(record([friend(1, name: name)], [], [])) == .inconsistent, "\(name)")
        }
        #expect(code(record([friend(1, mark: 1)], [], [])) == nil)
        #expect(code(record([friend(1, mark: 2)], [], [])) == .outOfRange)
        #expect(code(record([], [device(certificate, addresses: ["a:1", "b:2"])], [])) == nil)
        #expect(code(record([], [device(certificate, blocked: 2)], [])) == .outOfRange)
        for addresses in [["a"], ["a:1", "a:1"], ["a b:1"]] {
            #expect(code(record([], [device(certificate, addresses: addresses)], [])) == .inconsistent, "\(addresses)")
        }
        #expect(code(record([], [device(certificate, addresses: (0...16).map { "a:\($0 + 1)" })], [])) == .outOfRange)
        for kind in [0, 4] as [UInt8] { #expect(code(record([], [], [invitation(1, kind: kind)])) == .unknown) }
    }

    @Test("the fullest book there can be is within its bound, and comes back whole")
    func fullest() throws {
        var book = PeerBook()
        let me = BookNode()
        let long = String(repeating: "n", count: 255)
        let addresses = (0..<16).map { String(repeating: "h", count: 254) + ":\(10_000 + $0)" }
        var friends: [BookNode] = []
        for _ in 0..<Limits.friendsMax {
            let friend = BookNode(name: long, serial: .max)
            try book.befriend(friend, by: me, quotaBytes: .max, name: long)
            friends.append(friend)
        }
        var fuller = book
        #expect(bookError { try fuller.befriend(BookNode(), by: me) } == .full)
        for index in 0..<Limits.devicesMax - Limits.friendsMax {
            let owner = friends[index % friends.count].owner
            book.saw(BookNode(owner: owner, name: long).certificate, at: addresses, now: .max)
        }
        for friend in friends { book.saw(friend.certificate, at: addresses, now: .min) }
        #expect(book.devices.count == Limits.devicesMax)
        #expect(book.invitations.isEmpty, "all were used")
        for _ in 0..<Limits.invitationsMax {
            try book.invite(kind: .friend, quotaBytes: .max, expires: bookNow + 9, token: .random(), now: bookNow)
        }
        let bytes = book.encode()
        #expect(bytes.count <= Limits.peerBookBytesMax)
        #expect(try PeerBook(decoding: bytes) == book)
    }
}
