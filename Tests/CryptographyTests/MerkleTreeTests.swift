import BackupFormat
import Cryptography
import Foundation
import TestSupport
import Testing

@Suite("Merkle tree")
struct MerkleTreeTests {
    /// As Tests/Vectors/make-merkle.py makes them.
    private func vectorBytes(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 * 131 + ($0 >> 8) * 7 + 5) }
    }

    @Test("agrees with the roots that an independent program computed")
    func vectors() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: folder.appending(path: "Vectors/merkle.txt"), encoding: .utf8)
        let lines = text.split(separator: "\n")
        #expect(lines.count >= 16)
        for line in lines {
            let fields = line.split(separator: " ").map(String.init)
            try #require(fields.count == 3)
            let bytes = vectorBytes(try #require(Int(fields[0])))
            #expect(sha256(bytes).hex == fields[1])
            #expect(bytes.withUnsafeBytes { MerkleTree(hashing: $0).root.hex } == fields[2])
        }
    }

    @Test("is the same however the bytes come in pieces", arguments: 0..<20 as Range<UInt64>)
    func pieces(seed: UInt64) {
        var choices = Choices(seed: seed)
        let bytes = choices.bytes(choices.below(40_000))
        var hasher = MerkleHasher()
        var offset = 0
        while offset < bytes.count {
            let count = min(bytes.count - offset, choices.below(9000))
            bytes[offset..<offset + count].withUnsafeBytes { hasher.append($0) }
            offset += count
        }
        let pieced = hasher.finish()
        let whole = bytes.withUnsafeBytes { MerkleTree(hashing: $0) }
        #expect(pieced.root == whole.root)
        #expect(pieced.byteCount == bytes.count)
    }

    @Test("an outline proves every leaf as the whole tree does, from the bytes of its piece alone, and from no others")
    func outlines() throws {
        var choices = Choices(seed: 8)
        let piece = 1 << 20
        for byteCount in [
            1, 4096, 5000, piece - 1, piece, piece + 1, 2 * piece, 2 * piece + 4097, 3 * piece, 4 * piece + 9, 5 * piece,
        ] {
            let bytes = choices.bytes(byteCount)
            let tree = bytes.withUnsafeBytes { MerkleTree(hashing: $0) }
            let outline = MerkleOutline(tree)
            #expect(outline.byteCount == byteCount)
            let ends = [0, 1, 255, 256, 257, tree.leaves.count - 1].filter { $0 < tree.leaves.count }
            for leaf in ends + (0..<8).map({ _ in choices.below(tree.leaves.count) }) {
                let range = outline.piece(of: leaf)
                #expect(range.count <= piece && range.contains(leaf * 4096))
                var part = Array(bytes[range])
                #expect(part.withUnsafeBytes { outline.proof(of: leaf, in: $0) } == tree.proof(of: leaf..<leaf + 1))
                #expect(part.dropLast().withUnsafeBytes { outline.proof(of: leaf, in: $0) } == nil)
                part[choices.below(part.count)] ^= 1 << UInt8(choices.below(8))
                #expect(part.withUnsafeBytes { outline.proof(of: leaf, in: $0) } == nil)
            }
        }
    }

    @Test("proves every range of leaves, and refuses altered bytes, proofs, ranges, lengths and roots")
    func proofs() {
        var choices = Choices(seed: 7)
        for byteCount in [1, 4096, 4097, 12_288, 20_000, 28_672, 33_000] {
            let bytes = choices.bytes(byteCount)
            let tree = bytes.withUnsafeBytes { MerkleTree(hashing: $0) }
            let root = tree.root
            for low in 0..<tree.leaves.count {
                for high in low + 1...tree.leaves.count {
                    let proof = tree.proof(of: low..<high)
                    var part = Array(bytes[low * 4096..<min(byteCount, high * 4096)])
                    func holds(
                        _ part: [UInt8], _ range: Range<Int>, _ proof: [Bytes32], _ root: Bytes32, _ count: Int
                    ) -> Bool {
                        part.withUnsafeBytes {
                            MerkleTree.verify($0, leaves: range, proof: proof, root: root, byteCount: count)
                        }
                    }
                    #expect(holds(part, low..<high, proof, root, byteCount))
                    #expect(!holds(part, low..<high, proof + [.zero], root, byteCount))
                    #expect(!holds(part, low..<high, proof, choices.bytes32(), byteCount))
                    #expect(!holds(part, low..<high, proof, root, byteCount + 1))
                    #expect(!holds(part, low..<high, proof, root, byteCount + (4096 << 8)))
                    #expect(!holds(part, low + 1..<high + 1, proof, root, byteCount))
                    #expect(!holds(Array(part.dropLast()), low..<high, proof, root, byteCount))
                    if !proof.isEmpty {
                        #expect(!holds(part, low..<high, Array(proof.dropLast()), root, byteCount))
                        var altered = proof
                        altered[choices.below(proof.count)] = choices.bytes32()
                        #expect(!holds(part, low..<high, altered, root, byteCount))
                    }
                    part[choices.below(part.count)] ^= 1 << UInt8(choices.below(8))
                    #expect(!holds(part, low..<high, proof, root, byteCount))
                }
            }
        }
    }

    @Test("refuses impossible ranges and lengths without trapping")
    func impossible() {
        let bytes: [UInt8] = [1, 2, 3]
        bytes.withUnsafeBytes { buffer in
            for (range, count) in [(0..<0, 3), (-1..<1, 3), (0..<Int.max, 3), (0..<1, -1), (0..<1, 0), (0..<1, Int.max)] {
                #expect(!MerkleTree.verify(buffer, leaves: range, proof: [], root: .zero, byteCount: count))
            }
        }
        #expect(throws: CryptographyError.self) { try MerkleTree(leaves: [.zero], byteCount: 5000) }
    }
}
