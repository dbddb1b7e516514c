/// One group of the large form while it is checked: its layout, its checksums, and the stripes that are rebuilt.
struct ProtectedGroup {
    let file: any DiskFile
    let index: Int
    let isLast: Bool
    let layout: ProtectedLayout
    /// Where the group starts in the file, in bytes.
    let start: Int
    /// The blocks' checksums; nil where both copies of the page that held one are damaged.
    private(set) var checksums: [UInt32?]
    /// The file offsets of the table pages found damaged.
    private(set) var badPages: [(offset: Int, page: Int)] = []

    /// Reads the pages of table A that hold the checksums of `blocks`, and of table B where those are damaged, or always.
    init(
        _ file: any DiskFile, index: Int, isLast: Bool, _ layout: ProtectedLayout, start: Int, blocks: Range<Int>,
        bothTables: Bool
    ) {
        self.file = file
        self.index = index
        self.isLast = isLast
        self.layout = layout
        self.start = start
        checksums = Array(repeating: nil, count: layout.blocks)
        var buffer = [UInt8](repeating: 0, count: ProtectedLayout.pageBytes)
        for number in 0..<layout.tablePages {
            let range = layout.checksums(inPage: number)
            guard bothTables || range.overlaps(blocks) else { continue }
            var copies: [(offset: Int, page: [UInt8])] = []
            for table in [0, layout.secondTableOffset] where bothTables || copies.isEmpty {
                let offset = start + table + number * ProtectedLayout.pageBytes
                buffer.withUnsafeMutableBytes { ProtectedFile.readAll(file, at: offset, into: $0) }
                if isOurs(buffer, number) { copies.append((offset, buffer)) } else { badPages.append((offset, number)) }
            }
            // Another file's page may be here, whole and with the same layout: the blocks tell which is right.
            if copies.count == 2, copies[0].page != copies[1].page {
                let isFirstRight = goodBlocks(range, by: copies[0].page) >= goodBlocks(range, by: copies[1].page)
                badPages.append((copies.remove(at: isFirstRight ? 1 : 0).offset, number))
            }
            let first = start + number * ProtectedLayout.pageBytes
            if let right = copies.first {
                learn(range, from: right.page)
            } else if let bytes = ProtectedFile.mergedPage(file, first, first + layout.secondTableOffset) {
                learn(range, from: bytes)
            }
        }
    }

    /// Whether a page is this group's, by what it says.
    private func isOurs(_ bytes: [UInt8], _ number: Int) -> Bool {
        guard let page = bytes.withUnsafeBytes({ ProtectedPage($0) }) else { return false }
        return page.layout == layout && page.isLast == isLast && page.page == number && page.group == index
    }

    /// Blocks of the file, among these, that are what the page says.
    private func goodBlocks(_ range: Range<Int>, by page: [UInt8]) -> Int {
        var group = self
        group.learn(range, from: page)
        return group.goodBlocks(range)
    }

    /// How many of these blocks are good.
    func goodBlocks(_ range: Range<Int>) -> Int {
        var block = [UInt8](repeating: 0, count: layout.blockBytes)
        return range.count { number in
            block.withUnsafeMutableBytes { ProtectedFile.readAll(file, at: offset(ofBlock: number), into: $0) }
            return block.withUnsafeBytes { isGood(number, $0) }
        }
    }

    private mutating func learn(_ range: Range<Int>, from page: [UInt8]) {
        page.withUnsafeBytes { bytes in
            for (place, block) in range.enumerated() {
                checksums[block] = bytes.u32(ProtectedLayout.pageHeaderBytes + 4 * place)
            }
        }
    }

    /// The same group with the checksums of every block, as a stripe needs them.
    func withAllChecksums() -> ProtectedGroup {
        ProtectedGroup(file, index: index, isLast: isLast, layout, start: start, blocks: 0..<layout.blocks, bothTables: true)
    }

    func offset(ofBlock block: Int) -> Int { start + layout.offset(ofBlock: block) }

    /// Whether `bytes` are block `block` for certain.
    func isGood(_ block: Int, _ bytes: UnsafeRawBufferPointer) -> Bool { checksums[block] == crc32c(bytes) }

    /// Takes the checksum of a block that was found good by other means.
    mutating func learn(_ block: Int, _ bytes: UnsafeRawBufferPointer) { checksums[block] = crc32c(bytes) }

    /// A stripe, read and rebuilt as far as possible.
    struct Stripe {
        /// Numbers of its blocks: data, then parity.
        let blocks: [Int]
        /// Their bytes, one after the other.
        var bytes: [UInt8]
        /// Places in `blocks` whose bytes in the file were wrong.
        var damaged: [Int]
        /// Places in `blocks` that could not be rebuilt.
        var lost: [Int]

        func block(_ place: Int, _ layout: ProtectedLayout) -> ArraySlice<UInt8> {
            bytes[place * layout.blockBytes..<(place + 1) * layout.blockBytes]
        }
    }

    func stripe(_ number: Int) -> Stripe {
        let blocks = layout.blocks(ofStripe: number)
        var stripe = Stripe(blocks: blocks, bytes: [], damaged: [], lost: [])
        stripe.bytes = [UInt8](repeating: 0, count: blocks.count * layout.blockBytes)
        var unknown: [Int] = []
        stripe.bytes.withUnsafeMutableBytes { bytes in
            for (place, block) in blocks.enumerated() {
                let part = UnsafeMutableRawBufferPointer(
                    rebasing: bytes[place * layout.blockBytes..<(place + 1) * layout.blockBytes])
                ProtectedFile.readAll(file, at: offset(ofBlock: block), into: part)
                guard checksums[block] != nil else {
                    unknown.append(place)
                    continue
                }
                if !isGood(block, UnsafeRawBufferPointer(part)) { stripe.damaged.append(place) }
            }
        }
        let damaged = stripe.damaged
        if unknown.isEmpty {
            stripe.lost = attempt(&stripe, lost: damaged, mustAgree: false) ? [] : damaged
            return stripe
        }
        // Blocks without a checksum: believe them if the parity agrees, then suspect all, then each.
        if attempt(&stripe, lost: damaged, mustAgree: true) { return stripe }
        for suspects in [unknown] + unknown.map({ [$0] }) {
            let lost = (damaged + suspects).sorted()
            guard attempt(&stripe, lost: lost, mustAgree: suspects.count < unknown.count) else { continue }
            stripe.damaged = lost
            return stripe
        }
        stripe.lost = (damaged + unknown).sorted()
        stripe.damaged = stripe.lost
        return stripe
    }

    /// Rebuilds `lost` from the rest; true, and the stripe changed, if every known checksum then holds and, where
    /// blocks without one were believed, there is evidence that they are right.
    private func attempt(_ stripe: inout Stripe, lost: [Int], mustAgree: Bool) -> Bool {
        guard lost.count <= ReedSolomon.parityBlocks else { return false }
        let original = stripe.bytes
        let blockBytes = layout.blockBytes
        let places = stripe.blocks.count
        let good = stripe.bytes.withUnsafeMutableBytes { bytes -> Bool in
            guard let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return false }
            var pointers: [ReedSolomon.Block] = (0..<places).map { start + $0 * blockBytes }
            return pointers.withUnsafeMutableBufferPointer { pointers in
                ReedSolomon().rebuild(pointers, blockBytes: blockBytes, lost: lost)
            }
        }
        let holds =
            good
            && stripe.bytes.withUnsafeBytes { bytes in
                lost.allSatisfy { place in
                    guard let checksum = checksums[stripe.blocks[place]] else { return true }
                    return checksum
                        == crc32c(UnsafeRawBufferPointer(rebasing: bytes[place * blockBytes..<(place + 1) * blockBytes]))
                }
            }
        // A rebuilt block whose checksum holds vouches for all that it was rebuilt from.
        let vouched = lost.filter { checksums[stripe.blocks[$0]] != nil }.count == ReedSolomon.parityBlocks
        if holds && (!mustAgree || vouched || agrees(stripe)) { return true }
        stripe.bytes = original
        return false
    }

    /// Whether the stripe's parity blocks are those of its data blocks.
    private func agrees(_ stripe: Stripe) -> Bool {
        var copy = stripe.bytes
        let blockBytes = layout.blockBytes
        copy.withUnsafeMutableBytes { bytes in
            guard let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
            var pointers: [ReedSolomon.Block] = (0..<stripe.blocks.count).map { start + $0 * blockBytes }
            var codec = ReedSolomon()
            pointers.withUnsafeMutableBufferPointer { codec.encode($0, blockBytes: blockBytes) }
        }
        return copy == stripe.bytes
    }
}
