package import BackupFormat

/// The hash tree whose root names a pack: SHA-256 over leaves of 4 KiB.
///
/// leaf = H(0x00 || bytes), node = H(0x01 || left || right), root = H(0x02 || length u64 LE || top node). A tree of n
/// leaves splits at the largest power of two below n (the shape of RFC 6962); the top of an empty one is H("").
package struct MerkleTree: Sendable {
    /// The hash of every leaf, in order.
    package let leaves: [Bytes32]
    /// The length of the hashed bytes.
    package let byteCount: Int

    /// Hashes all of `buffer`.
    package init(hashing buffer: UnsafeRawBufferPointer) {
        var hasher = MerkleHasher(capacityBytes: buffer.count)
        hasher.append(buffer)
        self = hasher.finish()
    }

    /// A tree over known leaf hashes. Throws `.malformed` when `byteCount` bytes do not make that many leaves.
    package init(leaves: [Bytes32], byteCount: Int) throws(CryptographyError) {
        guard byteCount >= 0, leaves.count == MerkleTree.leafCount(byteCount) else {
            throw CryptographyError(.malformed, "build a Merkle tree")
        }
        self.init(unchecked: leaves, byteCount: byteCount)
    }

    init(unchecked leaves: [Bytes32], byteCount: Int) {
        self.leaves = leaves
        self.byteCount = byteCount
    }

    /// What names the bytes: their pack id, when they are a pack.
    package var root: Bytes32 {
        MerkleTree.bound(leaves.isEmpty ? sha256() : top(0..<leaves.count), byteCount: byteCount)
    }

    package var packID: PackID { PackID(root) }

    /// The root over all of `buffer`.
    package static func root(of buffer: UnsafeRawBufferPointer) -> Bytes32 { MerkleTree(hashing: buffer).root }

    /// The hashes that, with the bytes of leaves `range`, lead to the root: left to right, the largest subtrees outside it.
    ///
    /// `range` must not be empty nor leave the tree.
    package func proof(of range: Range<Int>) -> [Bytes32] {
        precondition(!range.isEmpty && range.lowerBound >= 0 && range.upperBound <= leaves.count)
        var hashes: [Bytes32] = []
        collect(0..<leaves.count, outside: range, into: &hashes)
        return hashes
    }

    private func collect(_ span: Range<Int>, outside range: Range<Int>, into hashes: inout [Bytes32]) {
        if !span.overlaps(range) {
            hashes.append(top(span))
        } else if span.count > 1 {
            let middle = MerkleTree.split(span)
            collect(span.lowerBound..<middle, outside: range, into: &hashes)
            collect(middle..<span.upperBound, outside: range, into: &hashes)
        }
    }

    /// The hash over some leaves, at least one, that are a subtree.
    func top(_ span: Range<Int>) -> Bytes32 {
        if span.count == 1 { return leaves[span.lowerBound] }
        let middle = MerkleTree.split(span)
        return MerkleTree.node(top(span.lowerBound..<middle), top(middle..<span.upperBound))
    }

    /// Whether `bytes` are leaves `range` of the pack of `byteCount` bytes named by `root`, as `proof` says.
    ///
    /// Takes anything a stranger may send: false for a range, length or proof that does not fit.
    package static func verify(
        _ bytes: UnsafeRawBufferPointer, leaves range: Range<Int>, proof: [Bytes32], root: Bytes32, byteCount: Int
    ) -> Bool {
        guard byteCount > 0, byteCount <= Limits.packBytesMax else { return false }
        let count = leafCount(byteCount)
        guard !range.isEmpty, range.lowerBound >= 0, range.upperBound <= count else { return false }
        let end = min(byteCount, range.upperBound * Limits.leafBytes)
        guard bytes.count == end - range.lowerBound * Limits.leafBytes else { return false }
        let tree = MerkleTree(hashing: bytes)
        var rest = proof[...]
        guard let top = rebuild(0..<count, tree.leaves, range, &rest), rest.isEmpty else { return false }
        return bound(top, byteCount: byteCount) == root
    }

    private static func rebuild(
        _ span: Range<Int>, _ known: [Bytes32], _ range: Range<Int>, _ proof: inout ArraySlice<Bytes32>
    ) -> Bytes32? {
        if !span.overlaps(range) { return proof.popFirst() }
        if span.count == 1 { return known[span.lowerBound - range.lowerBound] }
        let middle = split(span)
        guard let left = rebuild(span.lowerBound..<middle, known, range, &proof),
            let right = rebuild(middle..<span.upperBound, known, range, &proof)
        else { return nil }
        return node(left, right)
    }

    /// How many leaves `byteCount` bytes make; the last may be short.
    package static func leafCount(_ byteCount: Int) -> Int {
        byteCount / Limits.leafBytes + (byteCount % Limits.leafBytes == 0 ? 0 : 1)
    }

    /// Where a span of two leaves or more is split: after the largest power of two below its count.
    private static func split(_ span: Range<Int>) -> Int {
        let below = span.count - 1
        return span.lowerBound + (1 << (Int.bitWidth - 1 - below.leadingZeroBitCount))
    }

    private static func node(_ left: Bytes32, _ right: Bytes32) -> Bytes32 {
        withUnsafeTemporaryAllocation(byteCount: 65, alignment: 8) { block in
            block[0] = 1
            left.store(to: UnsafeMutableRawBufferPointer(rebasing: block[1..<33]))
            right.store(to: UnsafeMutableRawBufferPointer(rebasing: block[33..<65]))
            return sha256(UnsafeRawBufferPointer(block))
        }
    }

    private static func bound(_ top: Bytes32, byteCount: Int) -> Bytes32 {
        withUnsafeTemporaryAllocation(byteCount: 41, alignment: 8) { block in
            block[0] = 2
            block.storeBytes(of: UInt64(byteCount).littleEndian, toByteOffset: 1, as: UInt64.self)
            top.store(to: UnsafeMutableRawBufferPointer(rebasing: block[9..<41]))
            return sha256(UnsafeRawBufferPointer(block))
        }
    }
}

/// Builds a ``MerkleTree`` from bytes that come piece by piece, keeping 32 bytes a leaf.
package struct MerkleHasher {
    private var leaves: [Bytes32] = []
    /// The leaf being filled, and how many bytes it has.
    private var partial = MerkleHasher.emptyLeaf
    private var partialBytes = 0
    /// How many bytes were appended.
    package private(set) var byteCount = 0

    /// A hasher that has already taken the byte 0x00 that marks a leaf.
    private static let emptyLeaf: SHA256Stream = {
        var hasher = SHA256Stream()
        withUnsafeBytes(of: UInt8(0)) { hasher.append($0) }
        return hasher
    }()

    /// `capacityBytes` is a hint of how many bytes will come.
    package init(capacityBytes: Int = 0) {
        leaves.reserveCapacity(MerkleTree.leafCount(max(0, min(capacityBytes, Limits.packBytesMax))))
    }

    package mutating func append(_ buffer: UnsafeRawBufferPointer) {
        byteCount += buffer.count
        var rest = buffer[...]
        if partialBytes > 0 {
            let taken = min(rest.count, Limits.leafBytes - partialBytes)
            partial.append(UnsafeRawBufferPointer(rebasing: rest.prefix(taken)))
            partialBytes += taken
            rest = rest.dropFirst(taken)
            guard partialBytes == Limits.leafBytes else { return }
            leaves.append(partial.finish())
            partial = MerkleHasher.emptyLeaf
            partialBytes = 0
        }
        while rest.count >= Limits.leafBytes {
            leaves.append(MerkleHasher.leaf(UnsafeRawBufferPointer(rebasing: rest.prefix(Limits.leafBytes))))
            rest = rest.dropFirst(Limits.leafBytes)
        }
        if !rest.isEmpty {
            partial.append(UnsafeRawBufferPointer(rebasing: rest))
            partialBytes = rest.count
        }
    }

    /// The hash of one leaf of at most 4 KiB.
    static func leaf(_ bytes: UnsafeRawBufferPointer) -> Bytes32 {
        var hasher = emptyLeaf
        hasher.append(bytes)
        return hasher.end()
    }

    /// The tree over everything appended.
    package consuming func finish() -> MerkleTree {
        var all = leaves
        if partialBytes > 0 { all.append(partial.finish()) }
        return MerkleTree(unchecked: all, byteCount: byteCount)
    }
}
