package import BackupFormat

/// The upper part of a ``MerkleTree``: the hash over each piece of 256 leaves. With it, a leaf is proven from the bytes of its piece alone.
///
/// Memory: 32 bytes for each MiB that was hashed.
package struct MerkleOutline: Sendable {
    /// A power of two, so that pieces are subtrees.
    private static let leavesPerPiece = 256

    /// The length of the hashed bytes.
    package let byteCount: Int
    /// A tree of the same shape as the upper part of the whole one: its leaves are the tops of pieces.
    private let upper: MerkleTree

    package init(_ tree: MerkleTree) {
        byteCount = tree.byteCount
        let tops = stride(from: 0, to: tree.leaves.count, by: MerkleOutline.leavesPerPiece).map { start in
            tree.top(start..<min(start + MerkleOutline.leavesPerPiece, tree.leaves.count))
        }
        upper = MerkleTree(unchecked: tops, byteCount: tops.count * Limits.leafBytes)
    }

    /// The bytes, of all that were hashed, that ``proof(of:in:)`` needs for a leaf: at most 1 MiB.
    package func piece(of leaf: Int) -> Range<Int> {
        let first = leaf / MerkleOutline.leavesPerPiece * MerkleOutline.leavesPerPiece
        let start = first * Limits.leafBytes
        return start..<min(byteCount, start + MerkleOutline.leavesPerPiece * Limits.leafBytes)
    }

    /// What ``MerkleTree/proof(of:)`` gives for one leaf, of its `piece`; nil if those are not the bytes that were hashed.
    ///
    /// `leaf` must be one of the tree's.
    package func proof(of leaf: Int, in piece: UnsafeRawBufferPointer) -> [Bytes32]? {
        precondition(leaf >= 0 && leaf < MerkleTree.leafCount(byteCount))
        let (number, within) = leaf.quotientAndRemainder(dividingBy: MerkleOutline.leavesPerPiece)
        guard piece.count == self.piece(of: leaf).count else { return nil }
        let lower = MerkleTree(hashing: piece)
        guard lower.top(0..<lower.leaves.count) == upper.leaves[number] else { return nil }
        let count = upper.leaves.count
        return upper.proof(of: number..<count) + lower.proof(of: within..<within + 1) + upper.proof(of: 0..<number + 1)
    }
}
