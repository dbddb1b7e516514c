package import BackupFormat
internal import Cryptography

/// What whoever joins must know: the inviter's keys, where it may be, what it offers, and the token that lets one node in.
///
/// Who has it can use it, once; it lets nobody pass for the inviter, whose key it names.
package struct Invitation: Sendable, Hashable {
    /// The inviter's agreement key: whoever answers must hold its secret.
    package let inviterKey: Bytes32
    package let inviterOwner: OwnerID
    /// Secret until it is used.
    package let token: Bytes32
    package let kind: InvitationKind
    /// What the inviter will keep for who joins at most, in bytes.
    package let quotaBytes: UInt64
    /// Seconds since 1970.
    package let expires: Int64
    /// Where the inviter may be, likeliest first; at most ``Limits/addressesMax``, as ``isAddress(_:)`` lets them. They are the word of
    /// whoever made the text.
    package let addresses: [String]
    /// What the inviter is called, as ``shownName(_:)`` lets it; may be empty.
    package let name: String

    /// Passes over what is no address, and beyond the first ``Limits/addressesMax``; cleans the name.
    package init(
        inviterKey: Bytes32, inviterOwner: OwnerID, token: Bytes32, kind: InvitationKind, quotaBytes: UInt64, expires: Int64,
        addresses: [String], name: String
    ) {
        self.inviterKey = inviterKey
        self.inviterOwner = inviterOwner
        self.token = token
        self.kind = kind
        self.quotaBytes = quotaBytes
        self.expires = expires
        self.addresses = Array(addresses.filter(isAddress).prefix(Limits.addressesMax))
        self.name = shownName(name)
    }

    /// What the text carries; at most ``Limits/invitationBytesMax`` bytes. docs/FORMAT.md has the layout.
    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: 256)
        writer.bytes32(inviterKey)
        writer.bytes32(inviterOwner.value)
        writer.bytes32(token)
        writer.byte(kind.rawValue)
        writer.varint(quotaBytes)
        writer.signedVarint(expires)
        writer.byteString(Array(name.utf8))
        writer.count(addresses.count)
        for address in addresses { writer.byteString(Array(address.utf8)) }
        return writer.bytes
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "invitation")
        guard bytes.count <= Limits.invitationBytesMax else { throw reader.error(.outOfRange) }
        inviterKey = try reader.bytes32()
        inviterOwner = OwnerID(try reader.bytes32())
        token = try reader.bytes32()
        kind = try reader.invitationKind()
        quotaBytes = try reader.varint()
        expires = try reader.signedVarint()
        name = try reader.shownName()
        addresses = try reader.addresses()
        try reader.end()
    }

    // MARK: Text

    static let prefix = "bakare-invite"
    static let version = "1"
    /// Bytes of the hash at the end: eight characters.
    static let checkBytes = 5

    /// One line without spaces: `bakare-invite1-`, the bytes, a hyphen, and eight characters that check them.
    package var text: String { Invitation.text(carrying: encode()) }

    /// The text around any bytes.
    package static func text(carrying bytes: [UInt8]) -> String {
        "\(prefix)\(version)-\(Base32.encode(bytes))-\(Base32.encode(check(bytes)))"
    }

    /// Takes white space and line breaks anywhere, either case, O for 0 and I or L for 1, and what mail programs put around a line.
    package init(_ text: String) throws(InvitationError) {
        let bytes = try Invitation.bytes(inText: text)
        let decoded = bytes.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in try Invitation(decoding: bytes) }
        }
        do throws(FormatError) { self = try decoded.get() } catch { throw .malformed(error) }
    }

    static func check(_ bytes: [UInt8]) -> [UInt8] {
        Array(sha256(Array("bakare invitation text v1".utf8), bytes).bytes.prefix(checkBytes))
    }
}
