/// Part of a snapshot's pack list, shared by successive snapshots: `bakarePL`, version, count, then pack ids of 32 bytes.
///
/// Named by the SHA-256 of its encoded bytes.
package struct PackListPage: Hashable, Sendable {
    /// In the order in which the packs were made; 1 to ``Limits/pagePacksMax``, none twice.
    package let packs: [PackID]

    /// Throws what the decoder would: an empty or overlong list, or a pack named twice.
    package init(packs: [PackID]) throws(FormatError) {
        guard !packs.isEmpty, packs.count <= Limits.pagePacksMax else { throw FormatError(.outOfRange, "pack list page") }
        guard Set(packs).count == packs.count else { throw FormatError(.inconsistent, "pack list page") }
        self.packs = packs
    }

    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: packs.count * 32 + 16)
        writer.head("bakarePL")
        writer.count(packs.count)
        for pack in packs { writer.bytes32(pack.value) }
        return writer.bytes
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "pack list page")
        try reader.head("bakarePL")
        let count = try reader.count(limit: Limits.pagePacksMax)
        guard reader.remaining >= count * 32 else { throw reader.error(.truncated) }
        var packs: [PackID] = []
        packs.reserveCapacity(count)
        for _ in 0..<count { packs.append(PackID(try reader.bytes32())) }
        try reader.end()
        try self.init(packs: packs)
    }
}
