import BackupFormat
import Cryptography
import PeerProtocol
import Peers
import TestSupport
import Testing

/// A moment in 2026, in seconds since 1970.
let bookNow: Int64 = 1_780_000_000

/// A node with an owner, for whom books are kept here.
struct BookNode {
    let owner: OwnerKey
    let key: NodeKey
    var certificate: Certificate

    init(owner: OwnerKey = .generate(), name: String = "node", permissions: Permissions = .all, serial: UInt64 = 1) {
        self.owner = owner
        key = NodeKey.generate()
        certificate = owner.certify(key, name: name, permissions: permissions, serial: serial)
    }

    var identity: PeerIdentity { identity(certificate) }

    /// As a handshake shows it, with that certificate.
    func identity(_ certificate: Certificate?) -> PeerIdentity {
        PeerIdentity(agreementKey: key.agreementPublicKey, certificate: certificate, agent: "bakare-test 1")
    }

    var keys: InviterKeys { InviterKeys(owner: owner, publisher: owner.publisherKeys, certificate: certificate) }

    func pair(_ quotaBytes: UInt64 = 7, name: String = "joiner", device: DeviceID? = nil) -> Pair {
        Pair(quotaBytes: quotaBytes, device: device ?? key.id, name: name)
    }

    /// The same node under another certificate of its owner.
    func certified(name: String = "node", serial: UInt64, device: DeviceID? = nil) -> Certificate {
        owner.certify(
            device: device ?? key.id, agreementKey: key.agreementPublicKey, name: name, permissions: .all, serial: serial)
    }
}

extension PeerBook {
    /// A book with one open invitation of an hour.
    static func inviting(_ kind: InvitationKind, quotaBytes: UInt64 = 500) throws -> (book: PeerBook, token: Bytes32) {
        var book = PeerBook()
        let token = Bytes32.random()
        try book.invite(kind: kind, quotaBytes: quotaBytes, expires: bookNow + 3600, token: token, now: bookNow)
        return (book, token)
    }

    /// Makes `node`'s owner a friend, by an invitation of its own.
    mutating func befriend(
        _ node: BookNode, by inviter: BookNode, quotaBytes: UInt64 = 500, name: String = "joiner", now: Int64 = bookNow
    ) throws {
        let token = Bytes32.random()
        try invite(kind: .friend, quotaBytes: quotaBytes, expires: now + 60, token: token, now: now)
        _ = try admit(node.pair(name: name), from: node.identity, token: token, keys: inviter.keys, now: now)
    }

    /// A book in which every kind of thing stands, as the choices say.
    static func any(_ choices: inout Choices) throws -> PeerBook {
        var book = PeerBook()
        let inviter = BookNode()
        for _ in 0..<choices.below(4) {
            let friend = BookNode(name: ["nas", "läptop\u{1b}[31m", ""][choices.below(3)])
            try book.befriend(friend, by: inviter, quotaBytes: choices.next(), name: ["nas", " ", "x"][choices.below(3)])
            if choices.below(3) == 0 { _ = book.unpair(friend.owner.id, now: bookNow + Int64(choices.below(100))) }
            if choices.below(3) == 0 { _ = book.block(friend.key.id) }
        }
        for _ in 0..<choices.below(4) {
            let addresses = (0..<choices.below(20)).map { "10.0.0.\($0):\(4000 + choices.below(9))" }
            book.saw(BookNode(owner: inviter.owner).certificate, at: addresses, now: bookNow - Int64(choices.below(1000)))
        }
        for _ in 0..<choices.below(4) {
            try book.invite(
                kind: InvitationKind.allCases[choices.below(3)], quotaBytes: choices.next(),
                expires: bookNow + 1 + Int64(choices.below(1000)), token: choices.bytes32(), now: bookNow)
        }
        return book
    }
}

/// The code of the error that `body` throws; nil if it throws none or another.
func bookError<R>(_ body: () throws -> R) -> PeerBookError.Code? {
    do { _ = try body() } catch { return (error as? PeerBookError)?.code }
    return nil
}

/// What `#expect` cannot take: a call that changes something.
func expect(_ isRight: Bool, _ comment: Comment? = nil, _ place: SourceLocation = #_sourceLocation) {
    #expect(isRight, comment, sourceLocation: place)
}
