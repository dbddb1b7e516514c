package import BackupFormat

/// Sent by whoever joins, in a session that an invitation's token opened. Answered by ``Paired``.
package struct Pair: Hashable, Sendable {
    /// What the joiner will store for the inviter at most, in bytes.
    package var quotaBytes: UInt64
    /// The joiner's device id: whom to certify.
    package var device: DeviceID
    /// What the joiner is called, for people; at most 255 bytes.
    package var name: String

    package init(quotaBytes: UInt64, device: DeviceID, name: String) {
        self.quotaBytes = quotaBytes
        self.device = device
        self.name = name
    }
}

/// The nodes know each other from now on; both end the session and connect again.
package struct Paired: Hashable, Sendable {
    /// What the inviter will store for the joiner at most, in bytes.
    package var quotaBytes: UInt64
    /// For a new device of the inviter's owner: its certificate, encoded. Else empty.
    package var certificate: [UInt8]
    /// For a new device of the inviter's owner: an encoded ``OwnerKeyRecord`` or ``PublisherKeysRecord``. Else empty.
    package var keys: [UInt8]

    package init(quotaBytes: UInt64, certificate: [UInt8] = [], keys: [UInt8] = []) {
        self.quotaBytes = quotaBytes
        self.certificate = certificate
        self.keys = keys
    }
}

/// Asks for room before it is filled. Answered by ``Reserved``.
package struct Reserve: Hashable, Sendable {
    /// More than is used now, in bytes; 0 gives back what was reserved.
    package var bytes: UInt64
    package init(bytes: UInt64) { self.bytes = bytes }
}

/// The room that is kept free for the peer while the session lasts, in place of what was reserved before.
package struct Reserved: Hashable, Sendable {
    /// As many as were asked for, or fewer.
    package var bytes: UInt64
    package init(bytes: UInt64) { self.bytes = bytes }
}

/// Shows that the owner key is at the asking end. Answered by ``VaultState``; from then on packs and snapshots may be got.
package struct Recover: Hashable, Sendable {
    package var owner: OwnerID
    /// The owner's, over the handshake hash of this session.
    package var signature: Signature

    package init(owner: OwnerID, signature: Signature) {
        self.owner = owner
        self.signature = signature
    }
}

extension Pair: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        quotaBytes = try reader.number(1)
        device = DeviceID(try reader.bytes32(2))
        name = try reader.text(3, limit: Certificate.nameBytesMax)
    }

    func write(to writer: inout ProtobufWriter) {
        writer.number(1, quotaBytes)
        writer.bytes32(2, device.value)
        writer.text(3, name, limit: Certificate.nameBytesMax)
    }
}

extension Paired: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        quotaBytes = try reader.number(1)
        certificate = try reader.bytes(2, limit: Limits.certificateBytesMax)
        keys = try reader.bytes(3, limit: Limits.admittedKeyBytesMax)
        guard certificate.isEmpty == keys.isEmpty else { throw reader.error(.inconsistent) }
    }

    func write(to writer: inout ProtobufWriter) {
        writer.number(1, quotaBytes)
        writer.bytes(2, certificate)
        writer.bytes(3, keys)
    }
}

extension Reserve: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) { bytes = try reader.number(1) }
    func write(to writer: inout ProtobufWriter) { writer.number(1, bytes) }
}

extension Reserved: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) { bytes = try reader.number(1) }
    func write(to writer: inout ProtobufWriter) { writer.number(1, bytes) }
}

extension Recover: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        owner = OwnerID(try reader.bytes32(1))
        signature = try reader.signature(2)
    }

    func write(to writer: inout ProtobufWriter) {
        writer.bytes32(1, owner.value)
        writer.signature(2, signature)
    }
}
