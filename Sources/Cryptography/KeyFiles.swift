package import BackupFormat

// The contents of key files: a record and the SHA-256 of it. The checksum finds damage that the container missed, before a
// wrong key can be used; whether a key is the right one shows in what it opens.

extension OwnerKey {
    /// The contents of `owner.key`. Secret.
    package func encode() -> [UInt8] { checksummed(OwnerKeyRecord(seed: seedBytes).encode()) }

    /// Throws when the contents are damaged or of another kind.
    package convenience init(decoding contents: [UInt8]) throws(FormatError) {
        self.init(seed: try decodeChecked(contents, "owner key", OwnerKeyRecord.init(decoding:)).seed)
    }
}

extension PublisherKeys {
    /// The contents of `publisher.key`. Secret: who has it can tell whether a backup holds a given file.
    package func encode() -> [UInt8] {
        checksummed(
            PublisherKeysRecord(
                owner: owner, sealingPublicKey: sealingPublicKey, dedupSecret: dedupSecret, footerKey: footerKey
            ).encode())
    }

    /// Throws when the contents are damaged or of another kind.
    package convenience init(decoding contents: [UInt8]) throws(FormatError) {
        let record = try decodeChecked(contents, "publisher keys", PublisherKeysRecord.init(decoding:))
        self.init(
            owner: record.owner, sealingPublicKey: record.sealingPublicKey, dedupSecret: record.dedupSecret,
            footerKey: record.footerKey)
    }
}

/// What `node.key` holds: a node's key and, once it is a device of an owner, its certificate.
package struct NodeIdentity: Sendable {
    package let key: NodeKey
    package var certificate: Certificate?

    package init(key: NodeKey, certificate: Certificate?) {
        self.key = key
        self.certificate = certificate
    }

    /// The contents of `node.key`. Secret.
    package func encode() -> [UInt8] { checksummed(NodeKeyRecord(seed: key.seedBytes, certificate: certificate).encode()) }

    /// Throws when the contents are damaged or of another kind, or the certificate is another node's. Its signature is for
    /// ``verifyCertificate(_:owner:permission:_:)`` to check, which needs the owner.
    package init(decoding contents: [UInt8]) throws(FormatError) {
        let record = try decodeChecked(contents, "node key", NodeKeyRecord.init(decoding:))
        key = NodeKey(seed: record.seed)
        certificate = record.certificate
        if let certificate {
            guard certificate.device == key.id, certificate.agreementKey == key.agreementPublicKey else {
                throw FormatError(.inconsistent, "node key")
            }
        }
    }
}

private func checksummed(_ record: [UInt8]) -> [UInt8] { record + sha256(record).bytes }

private func decodeChecked<Record>(
    _ contents: [UInt8], _ what: String, _ decode: (UnsafeRawBufferPointer) throws(FormatError) -> Record
) throws(FormatError) -> Record {
    guard contents.count > Bytes32.count else { throw FormatError(.truncated, what, at: contents.count) }
    let record = Array(contents.dropLast(Bytes32.count))
    guard sha256(record).bytes == Array(contents.suffix(Bytes32.count)) else { throw FormatError(.checksum, what) }
    let result = record.withUnsafeBytes { buffer in Result { () throws(FormatError) in try decode(buffer) } }
    return try result.get()
}
