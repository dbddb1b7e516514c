package import BackupFormat
internal import Cryptography

/// Asks for one leaf of each of some packs, which nobody can tell before: a proof that the packs are there.
///
/// Needs no key: the leaf and its Merkle proof lead to the pack's id. Which leaf is asked for follows from the seed and the
/// pack's length, and the length is bound into the id.
package struct Audit: Hashable, Sendable {
    /// 32 fresh random bytes.
    package var seed: Bytes32
    /// 1 to ``Limits/auditPacksMax``, none twice.
    package var packs: [PackID]

    package init(seed: Bytes32, packs: [PackID]) {
        self.seed = seed
        self.packs = packs
    }

    /// Which leaf of a pack of `leafCount` leaves, at least one: the first 8 bytes, big-endian, of
    /// SHA-256("bakare audit v1" || seed || pack), modulo the number of leaves.
    package func leaf(of pack: PackID, leafCount: Int) -> Int {
        Int(sha256(Array("bakare audit v1".utf8), seed.bytes, pack.value.bytes).words.0 % UInt64(leafCount))
    }

    /// What a sample shows of one pack.
    package enum Verdict: Hashable, Sendable {
        case proven
        /// The persister says itself that it does not have the pack, or not whole.
        case missing
        /// The sample does not lead to the pack's id.
        case refuted
    }

    /// The verdict on each pack, in order. Throws for bytes that are not one sample for each.
    package func verdicts(of samples: some Collection<UInt8>) throws(FormatError) -> [Verdict] {
        #if MUTANTS
            if Mutant.acceptAnyProof.isOn { return packs.map { _ in .proven } }
        #endif
        let bytes = Array(samples)
        let result = bytes.withUnsafeBytes { buffer in
            Result { () throws(FormatError) in
                var reader = ByteReader(buffer, "samples")
                var verdicts: [Verdict] = []
                for pack in packs { verdicts.append(try verdict(on: pack, &reader)) }
                try reader.end()
                return verdicts
            }
        }
        return try result.get()
    }

    private func verdict(on pack: PackID, _ reader: inout ByteReader) throws(FormatError) -> Verdict {
        let packBytes = Int(try reader.uint32())
        if packBytes == 0 { return .missing }
        guard packBytes <= Limits.packBytesMax else { throw reader.error(.outOfRange) }
        let leaf = leaf(of: pack, leafCount: MerkleTree.leafCount(packBytes))
        let leafBytes = min(Limits.leafBytes, packBytes - leaf * Limits.leafBytes)
        let bytes = try reader.bytes(leafBytes)
        let count = Int(try reader.byte())
        guard count <= AuditSample.proofHashesMax else { throw reader.error(.outOfRange) }
        var proof: [Bytes32] = []
        for _ in 0..<count { proof.append(try reader.bytes32()) }
        let holds = MerkleTree.verify(
            bytes, leaves: leaf..<leaf + 1, proof: proof, root: pack.value, byteCount: packBytes)
        return holds ? .proven : .refuted
    }
}

/// One sample as it is sent: pack length u32 LE, the leaf, number of hashes u8, the hashes. A length of 0 alone: not there.
package enum AuditSample {
    /// Of a leaf in the longest pack: log2(16 MiB / 4 KiB).
    static let proofHashesMax = 12

    /// The sample of a pack that is not there.
    package static let missing: [UInt8] = [0, 0, 0, 0]

    /// `leaf` holds the bytes of the leaf that ``Audit/leaf(of:leafCount:)`` names, `proof` leads from it to the root.
    package static func encode(packBytes: Int, leaf: [UInt8], proof: [Bytes32]) -> [UInt8] {
        precondition(packBytes > 0 && packBytes <= Limits.packBytesMax && proof.count <= proofHashesMax)
        var writer = ByteWriter(capacity: leaf.count + 32 * proof.count + 5)
        writer.uint32(UInt32(packBytes))
        writer.raw(leaf)
        writer.byte(UInt8(proof.count))
        for hash in proof { writer.bytes32(hash) }
        return writer.bytes
    }
}

extension Audit: Fields {
    init(_ reader: inout ProtobufReader) throws(FormatError) {
        seed = try reader.bytes32(1)
        packs = try reader.identifiers(2, max: Limits.auditPacksMax)
        guard !packs.isEmpty else { throw reader.error(.truncated) }
        guard Set(packs).count == packs.count else { throw reader.error(.inconsistent) }
    }

    func write(to writer: inout ProtobufWriter) {
        writer.bytes32(1, seed)
        writer.identifiers(2, packs)
    }
}
