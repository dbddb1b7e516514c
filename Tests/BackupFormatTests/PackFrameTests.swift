import BackupFormat
import Testing

/// What a reader of packs must refuse: see docs/FORMAT.md.
@Suite("Pack frames")
struct PackFrameTests {
    private func kind(_ bytes: [UInt8]) throws -> PackKind { try bytes.withUnsafeBytes { try PackFrame.kind(ofHeader: $0) } }

    private func footerBytes(_ trailer: [UInt8], packBytes: Int) throws -> Int {
        try trailer.withUnsafeBytes { try PackFrame.sealedFooterBytes(ofTrailer: $0, packBytes: packBytes) }
    }

    private func entries(_ footer: [UInt8], chunkBytes: Int) throws -> [PackEntry] {
        try footer.withUnsafeBytes { try PackFrame.decodeFooter($0, chunkBytes: chunkBytes).entries }
    }

    private func footer(_ lengths: [(sealed: UInt32, plain: UInt32)]) -> [UInt8] {
        PackFrame.encodeFooter(
            kind: .data,
            entries: lengths.map { PackEntry(id: ChunkID(.zero), offset: 0, sealedBytes: $0.sealed, plainBytes: $0.plain) })
    }

    @Test("refuses a header with another magic, version or kind, with anything in its zeros, or cut off")
    func headers() throws {
        let good = PackFrame.header(.tree)
        #expect(try kind(good) == .tree)
        for (index, value) in [(0, 0x42), (8, 2), (8, 0), (9, 2), (10, 1), (15, 1)] as [(Int, UInt8)] {
            var bytes = good
            bytes[index] = value
            #expect(throws: FormatError.self, "byte \(index)") { try kind(bytes) }
        }
        for count in 0..<16 { #expect(throws: FormatError.self) { try kind(Array(good.prefix(count))) } }
    }

    @Test("refuses a trailer with another magic, or whose footer is too short for its seal or too long for the pack")
    func trailers() throws {
        #expect(try footerBytes(PackFrame.trailer(sealedFooterBytes: 41), packBytes: 73) == 41)
        #expect(throws: FormatError.self) { try footerBytes(PackFrame.trailer(sealedFooterBytes: 42), packBytes: 73) }
        #expect(throws: FormatError.self) { try footerBytes(PackFrame.trailer(sealedFooterBytes: 39), packBytes: 1000) }
        for packBytes in [0, 31, -1] {
            #expect(throws: FormatError.self) { try footerBytes(PackFrame.trailer(sealedFooterBytes: 40), packBytes: packBytes) }
        }
        for index in 4..<16 {
            var bytes = PackFrame.trailer(sealedFooterBytes: 41)
            bytes[index] ^= 1
            #expect(throws: FormatError.self, "byte \(index)") { try footerBytes(bytes, packBytes: 73) }
        }
    }

    @Test("refuses a footer of an unknown kind, or with half an entry")
    func footers() throws {
        #expect(try entries(footer([]), chunkBytes: 0) == [])
        #expect(throws: FormatError.self) { try entries([2], chunkBytes: 0) }
        #expect(throws: FormatError.self) { try entries([], chunkBytes: 0) }
        let one = footer([(50, 9)])
        for count in 1..<one.count where count != 1 {
            #expect(throws: FormatError.self) { try entries(Array(one.prefix(count)), chunkBytes: 50) }
        }
    }

    @Test("refuses a footer whose chunks take more than there is, or leave more than padding, or of lengths that no chunk has")
    func lengths() throws {
        let good = footer([(50, 9), (60, 19)])
        #expect(try entries(good, chunkBytes: 110).map(\.offset) == [16, 66])
        for padding in [1, PackFrame.paddingMax - 1] {
            #expect(try entries(good, chunkBytes: 110 + padding).map(\.offset) == [16, 66])
        }
        for chunkBytes in [0, 109, 110 + PackFrame.paddingMax, -1, Limits.packBytesMax + 1, .max, .min] {
            #expect(throws: FormatError.self, "\(chunkBytes)") { try entries(good, chunkBytes: chunkBytes) }
        }
        let longest = UInt32(Limits.chunkBytesMax + Limits.chunkOverheadBytes)
        for (sealed, plain) in [
            (40, 0), (0, 0), (longest + 1, UInt32(Limits.chunkBytesMax)), (50, UInt32(Limits.chunkBytesMax) + 1), (.max, 0),
        ] as [(UInt32, UInt32)] {
            #expect(throws: FormatError.self) { try entries(footer([(sealed, plain)]), chunkBytes: Int(sealed)) }
        }
        #expect(throws: FormatError.self) {
            try entries(footer([(41, 0)]) + [UInt8](repeating: 0, count: 40 * Limits.packChunksMax), chunkBytes: 41)
        }
    }

    @Test("a pack's length is a power of two of 4 KiB at least or a multiple of 32 KiB, and never 32 KiB more than it holds")
    func padding() {
        for (count, padded) in [
            (0, 4096), (1, 4096), (4096, 4096), (4097, 8192), (16_385, 32_768), (32_769, 65_536), (65_537, 98_304),
        ] {
            #expect(PackFrame.paddedBytes(count) == padded, "\(count)")
        }
        for count in stride(from: 1, through: 1 << 20, by: 997) {
            let padded = PackFrame.paddedBytes(count)
            #expect(padded >= count && padded - count < PackFrame.paddingMax && PackFrame.paddedBytes(padded) == padded)
        }
    }
}
