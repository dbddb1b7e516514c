/// What an owner lets one of their devices do. Raw values are stored.
package struct Permissions: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// May commit snapshots.
    package static let backup = Permissions(rawValue: 1)
    /// May be given the owner's packs and snapshots.
    package static let restore = Permissions(rawValue: 2)
    /// May remove snapshots, and replace the pack lists of those committed.
    package static let forget = Permissions(rawValue: 4)

    package static let all: Permissions = [.backup, .restore, .forget]
}

/// An owner's word that a node is a device of theirs: `bakareCT`, version, owner 32, device 32, agreement key 32,
/// permissions u8, serial u64, name (length, UTF-8), signature 64 by the owner over all before it.
package struct Certificate: Hashable, Sendable {
    package var owner: OwnerID
    /// The node's Ed25519 public key.
    package var device: DeviceID
    /// The node's X25519 public key, for sessions.
    package var agreementKey: Bytes32
    package var permissions: Permissions
    /// Raised with each certificate the owner makes, so that a later one for the same device wins.
    package var serial: UInt64
    /// For people: at most 255 bytes of UTF-8.
    package var name: String
    package var signature: Signature

    package static let nameBytesMax = 255

    package init(
        owner: OwnerID, device: DeviceID, agreementKey: Bytes32, permissions: Permissions, serial: UInt64, name: String,
        signature: Signature = .zero
    ) {
        precondition(name.utf8.count <= Certificate.nameBytesMax)
        self.owner = owner
        self.device = device
        self.agreementKey = agreementKey
        self.permissions = permissions
        self.serial = serial
        self.name = name
        self.signature = signature
    }

    /// All but the signature: what the owner signs.
    package var signedBytes: [UInt8] {
        var writer = ByteWriter(capacity: 256)
        writer.head("bakareCT")
        writer.bytes32(owner.value)
        writer.bytes32(device.value)
        writer.bytes32(agreementKey)
        writer.byte(permissions.rawValue)
        writer.uint64(serial)
        writer.byteString(Array(name.utf8))
        return writer.bytes
    }

    /// At most ``Limits/certificateBytesMax`` bytes.
    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: 320)
        writer.raw(signedBytes)
        writer.signature(signature)
        return writer.bytes
    }

    /// Rejects unknown permissions, a name that is not UTF-8 and trailing bytes. Does not check the signature.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "certificate")
        guard bytes.count <= Limits.certificateBytesMax else { throw reader.error(.outOfRange) }
        try reader.head("bakareCT")
        owner = OwnerID(try reader.bytes32())
        device = DeviceID(try reader.bytes32())
        agreementKey = try reader.bytes32()
        permissions = Permissions(rawValue: try reader.byte())
        guard Permissions.all.isSuperset(of: permissions) else { throw reader.error(.unknown) }
        serial = try reader.uint64()
        let nameBytes = try reader.byteString(limit: Certificate.nameBytesMax)
        guard let name = String(validating: nameBytes, as: UTF8.self) else { throw reader.error(.inconsistent) }
        self.name = name
        signature = try reader.signature()
        try reader.end()
    }
}
