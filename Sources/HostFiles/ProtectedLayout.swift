// Where things lie in a protected file.
//
// A protected file is a sequence of groups, each of up to 16 MiB of content:
//
//     table A | data blocks | parity blocks | table B
//
// in blocks of 4096 bytes. Data block i belongs to stripe i mod S, where S = ceil(blocks / 64), so that a burst of 2·S
// damaged blocks is rebuilt; each stripe has two parity blocks: parity block p of stripe s is number 2·s + p.
// The last data block is padded with zeros. Tables A and B are identical; each is a sequence of pages:
//
//     0  magic "bakareP1"     8  version (1)           9  log2 of the block size    10  1 in the last group, else 0
//    11  0                   12  page number, u16     14  pages in the table, u16   16  group number, u32
//    20  group capacity in bytes, u32                 24  content bytes in this group, u32
//    28  number of the page's first checksum, u32     32  CRC-32C of the data blocks, then of the parity blocks, u32 each
//    the page's last 4 bytes: CRC-32C of all before it
//
// Numbers are little-endian. A page is 4096 bytes, unused checksums zero. Content of 4096 bytes or less has the small form:
// blocks of 64 bytes, one stripe, one table page as long as it needs to be, nothing aligned inside; this frame is padded
// with zeros to a multiple of 4096 and written twice, so that no single 4 KiB block holds the only copy of anything.

/// The lengths and places inside one group of a protected file. Offsets count from the start of the group.
struct ProtectedLayout: Equatable {
    /// Content bytes of every group but the last.
    static let groupContentBytes = 16 << 20
    static let smallContentBytesMax = 4096
    static let pageBytes = 4096
    static let pageHeaderBytes = 32
    static let largeBlockShift: UInt8 = 12
    static let smallBlockShift: UInt8 = 6
    /// Checksums in one page of the large form.
    static let pageChecksums = (pageBytes - pageHeaderBytes - 4) / 4
    static let version: UInt8 = 1
    /// The bytes "bakareP1", as a little-endian number.
    static let magic: UInt64 = 0x3150_6572_616b_6162

    let contentBytes: Int
    let blockShift: UInt8
    let dataBlocks: Int
    let stripes: Int

    /// The group for `contentBytes` in the large form, or in the small one: for these the count must fit it.
    init(contentBytes: Int, small: Bool) {
        precondition(contentBytes >= 0 && contentBytes <= ProtectedLayout.groupContentBytes)
        self.contentBytes = contentBytes
        blockShift = small ? ProtectedLayout.smallBlockShift : ProtectedLayout.largeBlockShift
        let blockBytes = 1 << Int(blockShift)
        dataBlocks = (contentBytes + blockBytes - 1) / blockBytes
        stripes = (dataBlocks + ReedSolomon.dataBlocksMax - 1) / ReedSolomon.dataBlocksMax
    }

    var isSmall: Bool { blockShift == ProtectedLayout.smallBlockShift }
    var blockBytes: Int { 1 << Int(blockShift) }
    var parityBlocks: Int { stripes * ReedSolomon.parityBlocks }
    var blocks: Int { dataBlocks + parityBlocks }

    var tablePages: Int { isSmall ? 1 : max(1, (blocks + ProtectedLayout.pageChecksums - 1) / ProtectedLayout.pageChecksums) }
    /// Bytes of one page of this group's tables.
    var tablePageBytes: Int { isSmall ? ProtectedLayout.pageHeaderBytes + 4 * blocks + 4 : ProtectedLayout.pageBytes }
    /// Checksums that page `page` holds.
    func checksums(inPage page: Int) -> Range<Int> {
        let first = page * ProtectedLayout.pageChecksums
        return first..<min(blocks, first + ProtectedLayout.pageChecksums)
    }

    var tableBytes: Int { tablePages * tablePageBytes }
    /// Where block `index` (data blocks first, then parity) begins.
    func offset(ofBlock index: Int) -> Int { tableBytes + index << Int(blockShift) }
    var secondTableOffset: Int { offset(ofBlock: blocks) }

    /// Bytes of the group in the file; in the small form, of one of its two copies.
    var frameBytes: Int {
        let bytes = secondTableOffset + tableBytes
        return (bytes + ProtectedLayout.pageBytes - 1) / ProtectedLayout.pageBytes * ProtectedLayout.pageBytes
    }

    static let fullGroupBytes = ProtectedLayout(contentBytes: groupContentBytes, small: false).frameBytes

    /// Data blocks of stripe `stripe`: every S-th from it on.
    func dataBlocks(inStripe stripe: Int) -> Int { (dataBlocks - stripe + stripes - 1) / stripes }

    /// The blocks of stripe `stripe`: its data blocks, then its parity blocks.
    func blocks(ofStripe stripe: Int) -> [Int] {
        var result = Array(stride(from: stripe, to: dataBlocks, by: stripes))
        for parity in 0..<ReedSolomon.parityBlocks { result.append(dataBlocks + stripe * ReedSolomon.parityBlocks + parity) }
        return result
    }

    func stripe(ofBlock index: Int) -> Int {
        index < dataBlocks ? index % stripes : (index - dataBlocks) / ReedSolomon.parityBlocks
    }
}

/// What a table page says, once its checksum holds.
struct ProtectedPage: Equatable {
    let layout: ProtectedLayout
    let isLast: Bool
    let page: Int
    let group: Int

    /// Reads the page at the start of `bytes`, or nil if that is not an undamaged one.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= ProtectedLayout.pageHeaderBytes + 4, bytes.u64(0) == ProtectedLayout.magic,
            bytes[8] == ProtectedLayout.version, bytes[10] <= 1, bytes[11] == 0
        else { return nil }
        let small = bytes[9] == ProtectedLayout.smallBlockShift
        guard small || bytes[9] == ProtectedLayout.largeBlockShift else { return nil }
        let contentBytes = Int(bytes.u32(24))
        guard contentBytes <= (small ? ProtectedLayout.smallContentBytesMax : ProtectedLayout.groupContentBytes) else {
            return nil
        }
        layout = ProtectedLayout(contentBytes: contentBytes, small: small)
        isLast = bytes[10] == 1
        page = Int(bytes.u16(12))
        group = Int(bytes.u32(16))
        guard page < layout.tablePages, Int(bytes.u16(14)) == layout.tablePages,
            Int(bytes.u32(20)) == ProtectedLayout.groupContentBytes,
            isLast || contentBytes == ProtectedLayout.groupContentBytes, !small || (isLast && group == 0),
            Int(bytes.u32(28)) == layout.checksums(inPage: page).lowerBound
        else { return nil }
        let length = layout.tablePageBytes
        guard bytes.count >= length else { return nil }
        guard crc32c(UnsafeRawBufferPointer(rebasing: bytes[0..<length - 4])) == bytes.u32(length - 4) else { return nil }
    }

    /// Writes a page to the start of `target`: its header, the checksums it holds of all those of the group, its own.
    static func write(
        _ layout: ProtectedLayout, group: Int, isLast: Bool, page: Int, checksums: UnsafeBufferPointer<UInt32>,
        to target: UnsafeMutableRawBufferPointer
    ) {
        let length = layout.tablePageBytes
        target.baseAddress?.initializeMemory(as: UInt8.self, repeating: 0, count: length)
        target.storeBytes(of: ProtectedLayout.magic.littleEndian, as: UInt64.self)
        target[8] = ProtectedLayout.version
        target[9] = layout.blockShift
        target[10] = isLast ? 1 : 0
        target.storeBytes(of: UInt16(page).littleEndian, toByteOffset: 12, as: UInt16.self)
        target.storeBytes(of: UInt16(layout.tablePages).littleEndian, toByteOffset: 14, as: UInt16.self)
        target.storeBytes(of: UInt32(group).littleEndian, toByteOffset: 16, as: UInt32.self)
        target.storeBytes(of: UInt32(ProtectedLayout.groupContentBytes).littleEndian, toByteOffset: 20, as: UInt32.self)
        target.storeBytes(of: UInt32(layout.contentBytes).littleEndian, toByteOffset: 24, as: UInt32.self)
        let range = layout.checksums(inPage: page)
        target.storeBytes(of: UInt32(range.lowerBound).littleEndian, toByteOffset: 28, as: UInt32.self)
        for (place, index) in range.enumerated() {
            target.storeBytes(
                of: checksums[index].littleEndian, toByteOffset: ProtectedLayout.pageHeaderBytes + 4 * place, as: UInt32.self)
        }
        let crc = crc32c(UnsafeRawBufferPointer(rebasing: target[0..<length - 4]))
        target.storeBytes(of: crc.littleEndian, toByteOffset: length - 4, as: UInt32.self)
    }
}

extension UnsafeRawBufferPointer {
    func u16(_ offset: Int) -> UInt16 { UInt16(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self)) }
    func u32(_ offset: Int) -> UInt32 { UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
    func u64(_ offset: Int) -> UInt64 { UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
}
