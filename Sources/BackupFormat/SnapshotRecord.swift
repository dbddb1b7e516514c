/// A snapshot as a persister sees it: whose it is, the packs it needs, and a part that only the owner can read.
///
/// `core | placement | certificate (length, bytes) | signature 64`, where
/// core = `bakareSN`, version, owner 32, device 32, sequence u64, sealed part (length, bytes);
/// placement = revision u64, page count, then per page its id 32 and its number of packs.
/// The signature is the certified device's, over SHA-256(core | placement); the snapshot's id is SHA-256(core).
package struct SnapshotRecord: Hashable, Sendable {
    /// One page of the pack list: its id, and how many packs it names.
    package struct Page: Hashable, Sendable {
        package var id: PageID
        package var packCount: Int

        package init(id: PageID, packCount: Int) {
            self.id = id
            self.packCount = packCount
        }
    }

    package var owner: OwnerID
    /// The device that made the backup.
    package var device: DeviceID
    /// Counts the snapshots of one device, upwards.
    package var sequence: UInt64
    /// ``SnapshotContents``, sealed to the owner's public key.
    package var sealed: [UInt8]
    /// 0 as first committed; a record with a higher one replaces a lower one of the same id.
    package var revision: UInt64
    /// In the order in which the packs were made.
    package var pages: [Page]
    /// Of the device that signed: the maker at revision 0, else any that may forget.
    package var certificate: Certificate
    package var signature: Signature

    package init(
        owner: OwnerID, device: DeviceID, sequence: UInt64, sealed: [UInt8], revision: UInt64 = 0, pages: [Page],
        certificate: Certificate, signature: Signature = .zero
    ) {
        self.owner = owner
        self.device = device
        self.sequence = sequence
        self.sealed = sealed
        self.revision = revision
        self.pages = pages
        self.certificate = certificate
        self.signature = signature
    }

    /// How many packs all pages name together.
    package var packCount: Int { pages.reduce(0) { $0 + $1.packCount } }

    /// What the id is the hash of; a new placement leaves it as it is.
    package var coreBytes: [UInt8] {
        var writer = ByteWriter(capacity: sealed.count + 96)
        writer.head("bakareSN")
        writer.bytes32(owner.value)
        writer.bytes32(device.value)
        writer.uint64(sequence)
        writer.byteString(sealed)
        return writer.bytes
    }

    package var placementBytes: [UInt8] {
        var writer = ByteWriter(capacity: pages.count * 34 + 16)
        writer.uint64(revision)
        writer.count(pages.count)
        for page in pages {
            writer.bytes32(page.id.value)
            writer.count(page.packCount)
        }
        return writer.bytes
    }

    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: sealed.count + pages.count * 34 + 512)
        writer.raw(coreBytes)
        writer.raw(placementBytes)
        writer.byteString(certificate.encode())
        writer.signature(signature)
        return writer.bytes
    }

    /// Rejects lengths beyond ``Limits``, a page without packs, a page named twice and trailing bytes. Does not check signatures.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "snapshot record")
        guard bytes.count <= Limits.snapshotRecordBytesMax else { throw reader.error(.outOfRange) }
        try reader.head("bakareSN")
        owner = OwnerID(try reader.bytes32())
        device = DeviceID(try reader.bytes32())
        sequence = try reader.uint64()
        sealed = try reader.byteString(limit: Limits.snapshotSealedBytesMax)
        revision = try reader.uint64()
        pages = try decodePages(&reader)
        certificate = try Certificate(decoding: try reader.bytes(try reader.count(limit: Limits.certificateBytesMax)))
        signature = try reader.signature()
        try reader.end()
    }
}

private func decodePages(_ reader: inout ByteReader) throws(FormatError) -> [SnapshotRecord.Page] {
    let count = try reader.count(limit: Limits.snapshotPagesMax)
    guard reader.remaining / 33 >= count else { throw reader.error(.truncated) }
    var pages: [SnapshotRecord.Page] = []
    pages.reserveCapacity(count)
    var seen: Set<PageID> = []
    for _ in 0..<count {
        let id = PageID(try reader.bytes32())
        let packCount = try reader.count(limit: Limits.pagePacksMax)
        guard packCount > 0 else { throw reader.error(.outOfRange) }
        guard seen.insert(id).inserted else { throw reader.error(.inconsistent) }
        pages.append(SnapshotRecord.Page(id: id, packCount: packCount))
    }
    return pages
}
