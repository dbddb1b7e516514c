package import BackupFormat
internal import Cryptography

// The content of the book's file; docs/FORMAT.md has the layout. Each book has one encoding.
extension PeerBook {
    /// The record and its SHA-256; at most ``Limits/peerBookBytesMax`` bytes. Secret: tokens of open invitations are in it.
    package func encode() -> [UInt8] {
        let record = encodedRecord
        return record + sha256(record).bytes
    }

    /// Throws when the contents are damaged, of another kind, or break a rule of the format.
    package init(decoding contents: [UInt8]) throws(FormatError) {
        guard contents.count >= Bytes32.count else { throw FormatError(.truncated, "peer book", at: contents.count) }
        guard contents.count <= Limits.peerBookBytesMax else { throw FormatError(.outOfRange, "peer book") }
        let record = Array(contents.dropLast(Bytes32.count))
        guard sha256(record).bytes == Array(contents.suffix(Bytes32.count)) else { throw FormatError(.checksum, "peer book") }
        let result = record.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in
                var reader = ByteReader(bytes, "peer book")
                return try PeerBook(&reader)
            }
        }
        self = try result.get()
    }

    private static let magic = Array("bakareBK".utf8)
    private static let version: UInt8 = 1

    private var encodedRecord: [UInt8] {
        var writer = ByteWriter(capacity: 4096)
        writer.raw(PeerBook.magic)
        writer.byte(PeerBook.version)
        writer.count(friends.count)
        for friend in friends { friend.write(to: &writer) }
        writer.count(devices.count)
        for device in devices { device.write(to: &writer) }
        writer.count(invitations.count)
        for invitation in invitations { invitation.write(to: &writer) }
        return writer.bytes
    }

    private init(_ reader: inout ByteReader) throws(FormatError) {
        guard try reader.bytes(PeerBook.magic.count).elementsEqual(PeerBook.magic), try reader.byte() == PeerBook.version else {
            throw reader.error(.unknown)
        }
        for _ in 0..<(try reader.count(limit: Limits.friendsMax)) {
            let friend = try Friend(&reader)
            if let last = friends.last, last.owner >= friend.owner { throw reader.error(.inconsistent) }
            friends.append(friend)
        }
        var keys: Set<Bytes32> = []
        var sameOwner = 0
        for _ in 0..<(try reader.count(limit: Limits.devicesMax)) {
            let device = try KnownDevice(&reader)
            if let last = devices.last {
                guard last.place < device.place else { throw reader.error(.inconsistent) }
                sameOwner = last.owner == device.owner ? sameOwner + 1 : 0
                guard sameOwner < Limits.devicesPerOwnerMax else { throw reader.error(.outOfRange) }
            }
            guard keys.insert(device.agreementKey).inserted else { throw reader.error(.inconsistent) }
            devices.append(device)
        }
        for _ in 0..<(try reader.count(limit: Limits.invitationsMax)) {
            let invitation = try OpenInvitation(&reader)
            if let last = invitations.last, last.token >= invitation.token { throw reader.error(.inconsistent) }
            invitations.append(invitation)
        }
        try reader.end()
    }
}

extension Friend {
    fileprivate func write(to writer: inout ByteWriter) {
        writer.bytes32(owner.value)
        writer.byteString(Array(name.utf8))
        writer.varint(quotaBytes)
        writer.varint(promisedBytes)
        writer.signedVarint(pairedAt)
        writer.byte(unpairedAt == nil ? 0 : 1)
        if let unpairedAt { writer.signedVarint(unpairedAt) }
    }

    fileprivate init(_ reader: inout ByteReader) throws(FormatError) {
        owner = OwnerID(try reader.bytes32())
        name = try reader.shownName()
        guard !name.isEmpty else { throw reader.error(.inconsistent) }
        quotaBytes = try reader.varint()
        promisedBytes = try reader.varint()
        pairedAt = try reader.signedVarint()
        unpairedAt = try reader.flag() ? try reader.signedVarint() : nil
    }
}

extension KnownDevice {
    fileprivate func write(to writer: inout ByteWriter) {
        writer.byteString(certificate.encode())
        writer.byte(isBlocked ? 1 : 0)
        writer.signedVarint(lastSeen)
        writer.count(addresses.count)
        for address in addresses { writer.byteString(Array(address.utf8)) }
    }

    fileprivate init(_ reader: inout ByteReader) throws(FormatError) {
        certificate = try Certificate(decoding: try reader.bytes(try reader.count(limit: Limits.certificateBytesMax)))
        isBlocked = try reader.flag()
        lastSeen = try reader.signedVarint()
        addresses = try reader.addresses()
        guard Set(addresses).count == addresses.count else { throw reader.error(.inconsistent) }
    }
}

extension OpenInvitation {
    fileprivate func write(to writer: inout ByteWriter) {
        writer.bytes32(token)
        writer.byte(kind.rawValue)
        writer.varint(quotaBytes)
        writer.signedVarint(expires)
    }

    fileprivate init(_ reader: inout ByteReader) throws(FormatError) {
        token = try reader.bytes32()
        kind = try reader.invitationKind()
        quotaBytes = try reader.varint()
        expires = try reader.signedVarint()
    }
}

extension ByteReader {
    mutating func flag() throws(FormatError) -> Bool {
        switch try byte() {
        case 0: return false
        case 1: return true
        default: throw error(.outOfRange)
        }
    }

    mutating func invitationKind() throws(FormatError) -> InvitationKind {
        guard let kind = InvitationKind(rawValue: try byte()) else { throw error(.unknown) }
        return kind
    }

    /// A name that may be shown as it is; may be empty.
    mutating func shownName() throws(FormatError) -> String {
        let bytes = try byteString(limit: Limits.peerNameBytesMax)
        guard let name = String(validating: bytes, as: UTF8.self), Peers.shownName(name).utf8.elementsEqual(bytes) else {
            throw error(.inconsistent)
        }
        return name
    }

    mutating func addresses() throws(FormatError) -> [String] {
        var addresses: [String] = []
        for _ in 0..<(try count(limit: Limits.addressesMax)) {
            let bytes = try byteString(limit: Limits.addressBytesMax)
            guard let address = String(validating: bytes, as: UTF8.self), isAddress(address) else { throw error(.inconsistent) }
            addresses.append(address)
        }
        return addresses
    }
}
