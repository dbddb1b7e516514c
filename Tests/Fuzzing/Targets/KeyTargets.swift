internal import BackupFormat
internal import Cryptography

/// Key files and the recovery key's text.
let keyTargets: [FuzzTarget] = [
    keyFile("owner-key", ["owner"]) { try OwnerKey(decoding: $0).encode() },
    keyFile("publisher-keys", ["publisher"]) { try PublisherKeys(decoding: $0).encode() },
    keyFile("node-key", ["node", "node-without-certificate"]) { bytes in
        let record = Array(bytes.dropLast(Bytes32.count))
        let found = try record.withUnsafeBytes { try NodeKeyRecord(decoding: $0) }
        try promise(found.encode() == record, "node-key: other bytes than were decoded")
        return try NodeIdentity(decoding: bytes).encode()
    },
    FuzzTarget(
        name: "recovery-key",
        run: { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            do {
                let key = try OwnerKey(recoveryText: text)
                try promise(try OwnerKey(recoveryText: key.recoveryText).seedBytes == key.seedBytes, "another key")
            } catch let error as RecoveryKeyError {
                try promise(!error.description.isEmpty, "an error without words")
            }
        },
        seeds: {
            try Vectors.text("Vectors/recovery-key.txt").split(separator: "\n").map { line in
                Array(line.split(separator: " ").last.map(String.init)?.utf8 ?? "".utf8)
            } + [Array("bakare-key2-00001".utf8), Array("BAKARE KEYl 0000A".utf8)]
        }),
    FuzzTarget(
        name: "merkle-proof",
        run: { bytes in
            var choices = Choices(bytes)
            let byteCount = choices.number(bytes: 3)
            let first = choices.number(bytes: 2)
            let count = choices.number(bytes: 1)
            let isHonest = choices.byte() & 1 == 0
            let content = (0..<min(byteCount, 1 << 17)).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ $0 >> 8) }
            let tree = content.withUnsafeBytes { MerkleTree(hashing: $0) }
            let range = first..<first + count
            var proof: [Bytes32] = []
            if isHonest, !range.isEmpty, range.upperBound <= tree.leaves.count { proof = tree.proof(of: range) }
            while choices.rest.count >= 32, proof.count < 64 { proof.append(Bytes32(choices.take(32))) }
            let start = min(content.count, first * Limits.leafBytes)
            let end = min(content.count, (first + count) * Limits.leafBytes)
            let isRight = content[start..<end].withUnsafeBytes {
                MerkleTree.verify($0, leaves: range, proof: proof, root: tree.root, byteCount: byteCount)
            }
            if isRight {
                try promise(content.count == byteCount && range.upperBound <= tree.leaves.count, "a false proof")
                try promise(proof == tree.proof(of: range), "a proof with more or less than it needs")
            }
        },
        seeds: {
            [[0, 0x50, 0, 1, 0, 2, 0], [1, 0, 0, 0, 0, 1, 0], [0, 0, 2, 0, 0, 32, 1] + [UInt8](repeating: 1, count: 64)]
        }),
]

/// A key file; the checksum at its end is made right, since no fuzzer finds one.
private func keyFile(_ name: String, _ vectors: [String], _ again: @escaping @Sendable ([UInt8]) throws -> [UInt8]) -> FuzzTarget
{
    FuzzTarget(
        name: name,
        run: { bytes in
            let record = Array(bytes)
            let contents = record + sha256(record).bytes
            do { try promise(try again(contents) == contents, "\(name): other bytes than were decoded") } catch is FormatError {}
            if let found = try? again(record) { try promise(found == record, "\(name): other bytes than were decoded") }
        },
        seeds: {
            try Vectors.read("key-files").filter { vectors.contains($0.name) }.map { Array($0.bytes.dropLast(Bytes32.count)) }
        })
}
