/// The contents of `owner.key`: `bakareOK`, version, seed 32.
///
/// Key records are kept with a SHA-256 of their bytes after them, which the Cryptography module adds and checks.
package struct OwnerKeyRecord: Hashable, Sendable {
    package var seed: Bytes32

    package init(seed: Bytes32) { self.seed = seed }

    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: 80)
        writer.head("bakareOK")
        writer.bytes32(seed)
        return writer.bytes
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "owner key")
        try reader.head("bakareOK")
        seed = try reader.bytes32()
        try reader.end()
    }
}

/// The contents of `publisher.key`: `bakarePB`, version, owner 32, sealing public key 32, dedup secret 32, footer key 32.
package struct PublisherKeysRecord: Hashable, Sendable {
    package var owner: OwnerID
    package var sealingPublicKey: Bytes32
    package var dedupSecret: Bytes32
    package var footerKey: Bytes32

    package init(owner: OwnerID, sealingPublicKey: Bytes32, dedupSecret: Bytes32, footerKey: Bytes32) {
        self.owner = owner
        self.sealingPublicKey = sealingPublicKey
        self.dedupSecret = dedupSecret
        self.footerKey = footerKey
    }

    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: 176)
        writer.head("bakarePB")
        writer.bytes32(owner.value)
        writer.bytes32(sealingPublicKey)
        writer.bytes32(dedupSecret)
        writer.bytes32(footerKey)
        return writer.bytes
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "publisher keys")
        try reader.head("bakarePB")
        owner = OwnerID(try reader.bytes32())
        sealingPublicKey = try reader.bytes32()
        dedupSecret = try reader.bytes32()
        footerKey = try reader.bytes32()
        try reader.end()
    }
}

/// The contents of `node.key`: `bakareND`, version, seed 32, certificate (length, bytes; length 0 when it has none yet).
package struct NodeKeyRecord: Hashable, Sendable {
    package var seed: Bytes32
    /// Nil until an owner has made the node a device of theirs.
    package var certificate: Certificate?

    package init(seed: Bytes32, certificate: Certificate?) {
        self.seed = seed
        self.certificate = certificate
    }

    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: 480)
        writer.head("bakareND")
        writer.bytes32(seed)
        writer.byteString(certificate?.encode() ?? [])
        return writer.bytes
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "node key")
        try reader.head("bakareND")
        seed = try reader.bytes32()
        let encoded = try reader.bytes(try reader.count(limit: Limits.certificateBytesMax))
        certificate = encoded.isEmpty ? nil : try Certificate(decoding: encoded)
        try reader.end()
    }
}
