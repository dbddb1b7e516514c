internal import BackupFormat
internal import HostFiles

/// The container of every file that the node keeps, on a disk in memory.
let protectedTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "protected-file",
        run: { bytes in
            var choices = Choices(bytes)
            let isMended = choices.byte() & 1 == 1
            var file = Array(choices.rest.prefix(256 << 10))
            if isMended { mendTables(&file) }
            try readForged(file)
        },
        seeds: {
            try [0, 1, 100, 3300, 4096, 4097, 12_000].map { length in
                [1] + (try written(content(length, seed: 1)))
            }
        }),
    FuzzTarget(
        name: "protected-damage",
        run: { bytes in
            var choices = Choices(bytes)
            // Small, large, or large with two stripes.
            let form = choices.byte() & 3
            let length = choices.number(bytes: 2)
            let original = content(form == 3 ? (256 << 10) + length : form == 2 ? length : length & 4095, seed: choices.byte())
            let right = try written(original)
            var file = right
            while !choices.isEmpty { damage(&file, &choices) }
            try readDamaged(file, right, original)
        },
        seeds: {
            // Form, length, content; then per damage its kind, place, and length.
            [
                [0, 0, 0, 1, 1, 3, 0, 0, 5], [0, 100, 0, 2, 0, 0, 0, 0, 10], [1, 0x01, 0x10, 3, 2, 0, 0x20, 0, 0, 0, 1],
                [2, 0x01, 0x80, 3, 1, 0, 0x11, 0, 200, 3, 0, 0, 0, 2], [3, 0x01, 0, 4, 4, 0, 0x10, 1, 16],
            ]
        }),
]

private let path: RawPath = "/f"

private func content(_ count: Int, seed: UInt8) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ ($0 >> 8) &* 7 &+ Int(seed)) }
}

private func written(_ content: [UInt8]) throws -> [UInt8] {
    let disk = SimulatedDisk()
    try ProtectedFile.write(content, disk, path)
    return disk.files(under: "/").first?.bytes ?? []
}

private func disk(with file: [UInt8]) throws -> SimulatedDisk {
    let disk = SimulatedDisk()
    let handle = try disk.createExclusively(path, expectedBytes: file.count)
    try handle.write(at: 0, file)
    return disk
}

/// Makes the checksum right of whatever begins like a table, wherever one may stand.
private func mendTables(_ file: inout [UInt8]) {
    let magic = Array("bakareP1".utf8)
    var index = 0
    while index + 36 <= file.count {
        guard file[index] == magic[0], Array(file[index..<index + 8]) == magic else {
            index += 1
            continue
        }
        let count = Int(file[index + 24]) | Int(file[index + 25]) << 8
        let blocks = (count + 63) / 64
        let length = file[index + 9] == 6 ? 36 + 4 * (blocks + (blocks == 0 ? 0 : 2)) : 4096
        guard index + length <= file.count else { return }
        let checksum = file[index..<index + length - 4].withUnsafeBytes { crc32c($0) }
        for byte in 0..<4 { file[index + length - 4 + byte] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * byte)) }
        index += length
    }
}

/// Reads a file that may say anything of itself.
private func readForged(_ file: [UInt8]) throws {
    let disk = try disk(with: file)
    guard let opened = try? ProtectedFile.openForRepair(disk, path) else { return }
    try promise(opened.contentBytes >= 0, "a negative length")
    let limit = 1 << 20
    let before = try? ProtectedFile.content(disk, path, limit: limit)
    if let before { try promise(before.count == opened.contentBytes && before.count <= limit, "another length") }
    if opened.contentBytes > limit {
        // As a pack is read: in parts.
        var buffer = [UInt8](repeating: 0, count: 5000)
        buffer.withUnsafeMutableBytes { _ = try? opened.readChecked(opened.contentBytes - 5000..<opened.contentBytes, into: $0) }
        return
    }
    _ = try? opened.scrub(repair: true)
    guard let before else { return }
    let after = try? ProtectedFile.content(disk, path, limit: limit)
    try promise(after == before, "a repair changed the content")
}

private func damage(_ file: inout [UInt8], _ choices: inout Choices) {
    let kind = choices.byte() % 6
    let offset = choices.number(bytes: 3) % max(1, file.count)
    let count = choices.number(bytes: 1) << (kind == 4 ? 9 : 0)
    let end = min(file.count, offset + count)
    switch kind {
    case 0: if offset < file.count { file[offset] ^= UInt8(truncatingIfNeeded: count) }
    case 1, 4: for index in offset..<max(offset, end) { file[index] = 0 }
    case 2: file.removeLast(min(file.count, choices.number(bytes: 2)))
    case 3: file += Array(repeating: UInt8(truncatingIfNeeded: offset), count: count)
    default: file.replaceSubrange(offset..<max(offset, end), with: choices.take(end - offset))
    }
}

/// Whatever happened to a file, what is given out is what was written.
private func readDamaged(_ file: [UInt8], _ right: [UInt8], _ original: [UInt8]) throws {
    let disk = try disk(with: file)
    let found = try? ProtectedFile.content(disk, path, limit: 1 << 20)
    if let found { try promise(found == original, "wrong bytes were given out as right") }
    guard let opened = try? ProtectedFile.openForRepair(disk, path) else { return }
    if opened.contentBytes == original.count, !original.isEmpty {
        let middle = original.count / 2
        var buffer = [UInt8](repeating: 0, count: min(100, original.count - middle))
        let range = middle..<middle + buffer.count
        let isRead = buffer.withUnsafeMutableBytes { (try? opened.readChecked(range, into: $0)) != nil }
        if isRead { try promise(buffer.elementsEqual(original[range]), "wrong bytes were given out as right, in part") }
    }
    let report = try opened.scrub(repair: true)
    let mended = disk.files(under: "/").first?.bytes
    if report.isWhole { try promise(mended == right, "a repair that calls itself whole is not") }
    let after = try? ProtectedFile.content(disk, path, limit: 1 << 20)
    if let after { try promise(after == original, "wrong bytes after a repair") }
    if found != nil { try promise(after != nil, "a repair lost what could be read") }
}
