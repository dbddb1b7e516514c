#if MUTANTS
    internal import BackupFormat
#endif
internal import CISAL

/// CRC-32C (Castagnoli, as in RFC 3720: initial value and final XOR of all ones, reflected): "123456789" gives 0xe3069283.
package func crc32c(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    // The library's function neither inverts first nor last, and takes its length as 32 bits.
    guard let start = bytes.baseAddress else { return 0 }
    var crc = UInt32.max
    var done = 0
    while done < bytes.count {
        let count = min(bytes.count - done, 1 << 30)
        let piece = UnsafeMutablePointer(mutating: start.advanced(by: done).assumingMemoryBound(to: UInt8.self))
        crc = crc32_iscsi(piece, Int32(count), crc)
        done += count
    }
    return ~crc
}

/// Two parity blocks to up to 64 data blocks: any two lost blocks of a stripe are rebuilt.
///
/// Over GF(2⁸) with the polynomial 0x11d, by a Cauchy matrix: parity block p of a stripe of k data blocks is
/// Σ inverse((k + p) XOR j) · data[j]. Holds scratch tables: use one on one thread at a time.
package struct ReedSolomon {
    /// Parity blocks of a stripe.
    package static let parityBlocks = 2
    /// Data blocks of a stripe, at most.
    package static let dataBlocksMax = 64

    typealias Block = UnsafeMutablePointer<UInt8>?
    /// Bytes that the library expands one matrix coefficient to.
    private static let expandedBytes = 32

    /// The expanded parity rows for each number of data blocks that was asked for.
    private var tables: [[UInt8]] = Array(repeating: [], count: dataBlocksMax + 1)

    package init() {}

    /// Fills the last two of `blocks` (k data blocks, then two of parity, each of `blockBytes`) from the others.
    mutating func encode(_ blocks: UnsafeMutableBufferPointer<Block>, blockBytes: Int) {
        let dataBlocks = blocks.count - ReedSolomon.parityBlocks
        precondition(dataBlocks >= 1 && dataBlocks <= ReedSolomon.dataBlocksMax)
        if tables[dataBlocks].isEmpty {
            var matrix = ReedSolomon.matrix(dataBlocks)
            tables[dataBlocks] = ReedSolomon.expand(&matrix, from: dataBlocks, rows: ReedSolomon.parityBlocks, dataBlocks)
        }
        let parity = UnsafeMutableBufferPointer(rebasing: blocks[dataBlocks...])
        tables[dataBlocks].withUnsafeMutableBufferPointer { table in
            ec_encode_data(
                Int32(blockBytes), Int32(dataBlocks), Int32(ReedSolomon.parityBlocks), table.baseAddress,
                blocks.baseAddress, parity.baseAddress)
        }
    }

    /// Rebuilds the blocks whose positions are in `lost`, in place, from the others. False if there are more than two.
    func rebuild(_ blocks: UnsafeMutableBufferPointer<Block>, blockBytes: Int, lost: [Int]) -> Bool {
        let dataBlocks = blocks.count - ReedSolomon.parityBlocks
        guard dataBlocks >= 1, dataBlocks <= ReedSolomon.dataBlocksMax, lost.count <= ReedSolomon.parityBlocks else {
            return false
        }
        #if MUTANTS
            if Mutant.skipParity.isOn, !lost.isEmpty { return false }
        #endif
        guard !lost.isEmpty else { return true }
        let kept = Array((0..<blocks.count).filter { !lost.contains($0) }.prefix(dataBlocks))
        let matrix = ReedSolomon.matrix(dataBlocks)

        // kept = M · data, so data = M⁻¹ · kept, and a lost block is its row of the matrix times that.
        var square: [UInt8] = []
        for row in kept { square += matrix[row * dataBlocks..<(row + 1) * dataBlocks] }
        var inverse = [UInt8](repeating: 0, count: square.count)
        guard gf_invert_matrix(&square, &inverse, Int32(dataBlocks)) == 0 else { return false }
        var rows: [UInt8] = []
        for row in lost {
            for column in 0..<dataBlocks {
                var sum: UInt8 = 0
                for j in 0..<dataBlocks { sum ^= gf_mul(matrix[row * dataBlocks + j], inverse[j * dataBlocks + column]) }
                rows.append(sum)
            }
        }
        var table = ReedSolomon.expand(&rows, from: 0, rows: lost.count, dataBlocks)
        var sources = kept.map { blocks[$0] }
        var targets = lost.map { blocks[$0] }
        ec_encode_data(Int32(blockBytes), Int32(dataBlocks), Int32(lost.count), &table, &sources, &targets)
        return true
    }

    /// The identity over the two Cauchy rows: k + 2 rows of k coefficients.
    private static func matrix(_ dataBlocks: Int) -> [UInt8] {
        let rows = dataBlocks + parityBlocks
        var matrix = [UInt8](repeating: 0, count: rows * dataBlocks)
        gf_gen_cauchy1_matrix(&matrix, Int32(rows), Int32(dataBlocks))
        return matrix
    }

    private static func expand(_ matrix: inout [UInt8], from row: Int, rows: Int, _ dataBlocks: Int) -> [UInt8] {
        var table = [UInt8](repeating: 0, count: expandedBytes * rows * dataBlocks)
        matrix.withUnsafeMutableBufferPointer { coefficients in
            guard let start = coefficients.baseAddress else { return }
            ec_init_tables(Int32(dataBlocks), Int32(rows), start + row * dataBlocks, &table)
        }
        return table
    }
}
