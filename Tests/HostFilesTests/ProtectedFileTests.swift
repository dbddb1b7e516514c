import BackupFormat
import HostFiles
import TestSupport
import Testing

/// Content that compresses badly and is the same for the same arguments.
func content(_ count: Int, seed: UInt64 = 7) -> [UInt8] {
    var random = Choices(seed: seed &+ UInt64(count))
    var words = [UInt64](repeating: 0, count: (count + 7) / 8)
    for index in words.indices { words[index] = random.next() }
    return words.withUnsafeBytes { Array($0[..<count]) }
}

/// Seeks damage and truth in protected files on a simulated disk.
@Suite("Protected file") struct ProtectedFileTests {
    static let sizes = [0, 1, 63, 64, 65, 4095, 4096, 4097, 100_000, 262_144, 1 << 20, (1 << 20) + 5]

    private func file(_ content: [UInt8]) throws -> (SimulatedDisk, [UInt8]) {
        let disk = SimulatedDisk()
        let bytes = try ProtectedFile.write(content, disk, "/f")
        let original = disk.files(under: "/f").first?.bytes ?? []
        #expect(bytes == original.count && bytes == ProtectedFile.fileBytes(contentBytes: content.count))
        #expect(bytes % 4096 == 0)
        return (disk, original)
    }

    /// Damages the file by `body`: it must read back whole, and be mended to the bit.
    private func expectMended(
        _ disk: SimulatedDisk, _ original: [UInt8], _ content: [UInt8], _ what: String, _ body: (inout [UInt8]) -> Void
    ) throws {
        disk.damage("/f", body)
        defer { disk.damage("/f") { $0 = original } }
        #expect(try ProtectedFile.content(disk, "/f", limit: content.count) == content, "\(what)")
        let report = try ProtectedFile.openForRepair(disk, "/f").scrub(repair: false)
        #expect(report.lost.isEmpty && (report.damagedBlocks > 0 || report.hasWrongSize), "\(what)")
        let mended = try ProtectedFile.openForRepair(disk, "/f").scrub(repair: true)
        #expect(mended.isWhole, "\(what)")
        #expect(disk.files(under: "/f").first?.bytes == original, "\(what)")
        #expect(try ProtectedFile.open(disk, "/f").scrub(repair: false) == ProtectionReport(), "\(what)")
    }

    @Test("the checksum is CRC-32C")
    func checksum() {
        #expect(Array("123456789".utf8).withUnsafeBytes { crc32c($0) } == 0xe306_9283)
        #expect([UInt8](repeating: 0, count: 32).withUnsafeBytes { crc32c($0) } == 0x8a91_36aa)
        #expect([UInt8]().withUnsafeBytes { crc32c($0) } == 0)
    }

    @Test("gives back content of any size, whole and in parts", arguments: sizes + [16 << 20, (16 << 20) + 1, 40 << 20])
    func roundTrip(_ size: Int) throws {
        let content = content(size)
        let (disk, _) = try file(content)
        #expect(try ProtectedFile.content(disk, "/f", limit: size) == content)
        let file = try ProtectedFile.open(disk, "/f")
        #expect(file.contentBytes == size)
        var random = Choices(seed: UInt64(size))
        for _ in 0..<20 where size > 0 {
            let start = Int(random.next() % UInt64(size))
            let range = start..<min(size, start + Int(random.next() % 70_000) + 1)
            var fast = [UInt8](repeating: 0, count: range.count)
            try fast.withMutableBytes { buffer throws(HostFilesError) in try file.read(range, into: buffer) }
            #expect(fast.elementsEqual(content[range]))
            var checked = [UInt8](repeating: 0, count: range.count)
            let damaged = try checked.withMutableBytes { buffer throws(HostFilesError) in
                try file.readChecked(range, into: buffer)
            }
            #expect(checked.elementsEqual(content[range]) && !damaged)
        }
        #expect(try file.scrub(repair: false) == ProtectionReport())
    }

    @Test("a file written piece by piece is the same", arguments: [0, 4096, 5000, 16 << 20, (16 << 20) + 1, 33 << 20])
    func streaming(_ size: Int) throws {
        let content = content(size)
        let (disk, original) = try file(content)
        let writer = try ProtectedFileWriter(disk, "/g")
        var done = 0
        var step = 1
        while done < size {
            let end = min(size, done + step)
            try writer.append(Array(content[done..<end]))
            done = end
            step = min(step * 3, 9 << 20)
        }
        #expect(try writer.finish() == original.count)
        #expect(disk.files(under: "/g").first?.bytes == original)
    }

    @Test("mends any flipped byte", arguments: sizes)
    func flips(_ size: Int) throws {
        let content = content(size)
        let (disk, original) = try file(content)
        var random = Choices(seed: 3)
        let step = max(1, original.count / 150)
        for place in stride(from: 0, to: original.count, by: step) {
            let offset = min(original.count - 1, place + Int(random.next() % UInt64(step)))
            try expectMended(disk, original, content, "byte \(offset)") { $0[offset] ^= UInt8(1) << (random.next() % 8) }
        }
        for offset in Array(0..<40) + Array(original.count - 8..<original.count) {
            try expectMended(disk, original, content, "byte \(offset)") { $0[offset] ^= 0xff }
        }
    }

    @Test("mends any zeroed block of 4 KiB", arguments: sizes)
    func zeroedBlocks(_ size: Int) throws {
        let content = content(size)
        let (disk, original) = try file(content)
        for start in stride(from: 0, to: original.count, by: 4096) {
            let zeros = [UInt8](repeating: 0, count: 4096)
            if original[start..<start + 4096].elementsEqual(zeros) { continue }
            try expectMended(disk, original, content, "block at \(start)") {
                $0.replaceSubrange(start..<start + 4096, with: zeros)
            }
        }
    }

    @Test("mends large files of one group and of three", arguments: [16 << 20, 40 << 20])
    func large(_ size: Int) throws {
        let content = content(size)
        let (disk, original) = try file(content)
        let group = ProtectedFile.fileBytes(contentBytes: 16 << 20)
        let last = original.count - 1
        for offset in [0, 4096, 20480, 30_000_000 % original.count, group - 1, group - 30_000, group - 500_000, last] {
            try expectMended(disk, original, content, "byte \(offset)") { $0[offset] ^= 1 }
        }
        // A burst over two blocks of every stripe, and both heads of a table page together with data.
        try expectMended(disk, original, content, "burst") { bytes in
            for index in 1_000_000..<1_000_000 + 127 * 4096 { bytes[index] = 0x55 }
        }
        try expectMended(disk, original, content, "page 1 of both tables, and a byte") { bytes in
            bytes[4096 + 50] ^= 1
            bytes[group - 20480 + 4096 + 50] ^= 1
            bytes[20480 + 1500 * 4096] ^= 1
        }
        try expectMended(disk, original, content, "cut tail") { $0.removeLast(20480 + 100) }
        try expectMended(disk, original, content, "cut tail with parity") { $0.removeLast(20480 + 5 * 4096) }
    }

    @Test("mends a cut-off or overlong tail", arguments: sizes)
    func tails(_ size: Int) throws {
        let content = content(size)
        let (disk, original) = try file(content)
        let cuts = original.count <= 16384 ? [1, 100, 4096, original.count / 2] : [1, 100, 4096, 8000]
        for cut in cuts {
            try expectMended(disk, original, content, "cut by \(cut)") { $0.removeLast(cut) }
        }
        try expectMended(disk, original, content, "overlong") { $0 += [1, 2, 3] }
    }

    @Test("where another file's block was written over one copy, whoever knows the content gets it back")
    func foreignBlock() throws {
        let mine = content(900)
        let (disk, original) = try file(mine)
        for others in [content(900, seed: 8), content(1500), content(100_000)] {
            let foreign = try file(others).1.prefix(4096)
            for start in [0, 4096] {
                disk.damage("/f") { $0.replaceSubrange(start..<start + 4096, with: foreign) }
                let found = disk.files(under: "/f").first?.bytes
                let isContested = others.count <= 4096
                let report = try ProtectedFile.openForRepair(disk, "/f").scrub(repair: true)
                #expect(report.wasDamaged && report.isWhole != isContested && report.lost.isEmpty != isContested)
                if isContested {
                    #expect(disk.files(under: "/f").first?.bytes == found)
                    #expect(throws: HostFilesError.self) { try ProtectedFile.content(disk, "/f", limit: 5000) }
                    // Neither is what is known.
                    #expect(throws: HostFilesError.self) {
                        try ProtectedFile.content(disk, "/f", limit: 5000, isRight: { _ in false })
                    }
                }
                #expect(try ProtectedFile.content(disk, "/f", limit: 5000, isRight: { $0 == mine }) == mine)
                #expect(try ProtectedFile.openForRepair(disk, "/f", isRight: { $0 == mine }).scrub(repair: true).isWhole)
                #expect(disk.files(under: "/f").first?.bytes == original)
            }
        }
    }

    @Test("either table of a large file may be another file's, and the blocks tell which is right")
    func foreignHead() throws {
        let mine = content(100_000)
        let (disk, original) = try file(mine)
        // Of as many blocks, the same length, fewer, more, and of more than one group.
        for size in [900, 99_999, 100_000, 35_000, 200_000, 20 << 20] {
            let foreign = try file(content(size, seed: 9)).1.prefix(4096)
            for start in [0, original.count - 4096] {
                try expectMended(disk, original, mine, "a block of a file of \(size), at \(start)") {
                    $0.replaceSubrange(start..<start + 4096, with: foreign)
                }
            }
        }
    }

    @Test("mends two damaged bytes, wherever they are", arguments: sizes)
    func twoFlips(_ size: Int) throws {
        let content = content(size)
        let (disk, original) = try file(content)
        var random = Choices(seed: 11)
        for _ in 0..<200 {
            let a = Int(random.next() % UInt64(original.count))
            let b = Int(random.next() % UInt64(original.count))
            guard a != b else { continue }
            try expectMended(disk, original, content, "bytes \(a) and \(b)") { bytes in
                bytes[a] ^= 0x10
                bytes[b] ^= 0x01
            }
        }
    }

    @Test("names exactly the bytes that are beyond repair, and never gives out wrong ones")
    func beyondRepair() throws {
        let content = content(1 << 20)
        let (disk, original) = try file(content)
        // One table page, then the blocks.
        func offset(ofBlock block: Int) -> Int { 4096 + block * 4096 }
        // Three data blocks of stripe 0 of 4, and one of stripe 1.
        let broken = [0, 8, 16]
        disk.damage("/f") { bytes in
            for block in broken + [1] { bytes[offset(ofBlock: block) + 9] ^= 4 }
        }
        let report = try ProtectedFile.openForRepair(disk, "/f").scrub(repair: true)
        #expect(report.lost == broken.map { $0 * 4096..<($0 + 1) * 4096 })
        #expect(report.damagedBlocks == 4 && report.repairedBlocks == 1 && !report.isWhole)
        let file = try ProtectedFile.open(disk, "/f")
        var buffer = [UInt8](repeating: 0, count: 8192)
        for start in stride(from: 0, to: content.count, by: 8192) {
            let range = start..<start + 8192
            let touchesLost = report.lost.contains { $0.overlaps(range) }
            do {
                _ = try buffer.withMutableBytes { raw throws(HostFilesError) in try file.readChecked(range, into: raw) }
                #expect(!touchesLost && buffer.elementsEqual(content[range]))
            } catch { #expect(touchesLost && error.code == .damaged) }
        }
        disk.damage("/f") { $0 = original }
        disk.damage("/f") { bytes in for index in bytes.indices { bytes[index] = 0 } }
        #expect(throws: HostFilesError.self) { _ = try ProtectedFile.open(disk, "/f") }
    }

    @Test("random damage is mended or reported, never passed on", arguments: 0..<60 as Range<UInt64>)
    func randomDamage(_ seed: UInt64) throws {
        var random = Choices(seed: seed)
        let content = content([10, 3000, 4096, 9000, 70_000, 600_000][Int(random.next() % 6)], seed: seed)
        let (disk, _) = try file(content)
        disk.damage("/f") { bytes in
            for _ in 0..<(1 + random.next() % 40) {
                let start = Int(random.next() % UInt64(bytes.count))
                let end = min(bytes.count, start + Int(random.next() % 5000))
                for index in start..<end { bytes[index] = UInt8(truncatingIfNeeded: random.next()) }
            }
        }
        guard let file = try? ProtectedFile.openForRepair(disk, "/f") else { return }
        #expect(file.contentBytes == content.count)
        let report = try file.scrub(repair: true)
        var buffer = [UInt8](repeating: 0, count: 512)
        let mended = try ProtectedFile.open(disk, "/f")
        for start in stride(from: 0, to: content.count, by: 512) {
            let range = start..<min(content.count, start + 512)
            let isLost = report.lost.contains { $0.overlaps(range) }
            do {
                _ = try buffer.withMutableBytes { raw throws(HostFilesError) in try mended.readChecked(range, into: raw) }
                #expect(!isLost && buffer[..<range.count].elementsEqual(content[range]))
            } catch { #expect(isLost) }
        }
    }

    @Test("a garbage file is refused, and never traps", arguments: 0..<40 as Range<UInt64>)
    func garbage(_ seed: UInt64) throws {
        var random = Choices(seed: seed)
        let disk = SimulatedDisk()
        let file = try disk.createExclusively("/f", expectedBytes: 0)
        let bytes = content(Int(random.next() % 60_000), seed: seed)
        try file.write(at: 0, bytes)
        #expect(throws: HostFilesError.self) { _ = try ProtectedFile.content(disk, "/f", limit: 1 << 30) }
    }
}
