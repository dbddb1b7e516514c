/// A device's signed request that snapshots be removed: `bakareFO`, version, owner 32, device 32, nonce 32, count,
/// snapshot ids of 32 bytes sorted upwards, certificate (length, bytes), signature 64 by the device over all before it.
package struct ForgetOrder: Hashable, Sendable {
    package var owner: OwnerID
    package var device: DeviceID
    /// Random: makes each order its own, for logs and answers.
    package var nonce: Bytes32
    /// Sorted upwards, none twice; 1 to ``Limits/forgetSnapshotsMax``.
    package var snapshots: [SnapshotID]
    /// Of the device; must give it `forget`.
    package var certificate: Certificate
    package var signature: Signature

    /// Sorts `snapshots` and drops repeats.
    package init(
        owner: OwnerID, device: DeviceID, nonce: Bytes32, snapshots: some Sequence<SnapshotID>, certificate: Certificate,
        signature: Signature = .zero
    ) {
        self.owner = owner
        self.device = device
        self.nonce = nonce
        self.snapshots = Set(snapshots).sorted()
        self.certificate = certificate
        self.signature = signature
    }

    /// All but the signature: what the device signs.
    package var signedBytes: [UInt8] {
        var writer = ByteWriter(capacity: snapshots.count * 32 + 512)
        writer.head("bakareFO")
        writer.bytes32(owner.value)
        writer.bytes32(device.value)
        writer.bytes32(nonce)
        writer.count(snapshots.count)
        for snapshot in snapshots { writer.bytes32(snapshot.value) }
        writer.byteString(certificate.encode())
        return writer.bytes
    }

    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: snapshots.count * 32 + 512)
        writer.raw(signedBytes)
        writer.signature(signature)
        return writer.bytes
    }

    /// Rejects an empty, overlong or unsorted list and trailing bytes. Does not check signatures.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "forget order")
        try reader.head("bakareFO")
        owner = OwnerID(try reader.bytes32())
        device = DeviceID(try reader.bytes32())
        nonce = try reader.bytes32()
        let count = try reader.count(limit: Limits.forgetSnapshotsMax)
        guard count > 0 else { throw reader.error(.outOfRange) }
        guard reader.remaining >= count * 32 else { throw reader.error(.truncated) }
        snapshots = []
        snapshots.reserveCapacity(count)
        for _ in 0..<count {
            let snapshot = SnapshotID(try reader.bytes32())
            if let last = snapshots.last, last >= snapshot { throw reader.error(.inconsistent) }
            snapshots.append(snapshot)
        }
        certificate = try Certificate(decoding: try reader.bytes(try reader.count(limit: Limits.certificateBytesMax)))
        signature = try reader.signature()
        try reader.end()
    }
}
