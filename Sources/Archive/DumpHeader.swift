internal import BackupFormat

/// The header blocks of one archive entry: a `ustar` block, with a pax block in front for what does not fit in it.
struct DumpHeader {
    private let entry: TreeEntry
    private let name: [UInt8]
    private let user: [UInt8]?
    private let group: [UInt8]?
    private var typeFlag: UInt8
    private var linkTarget: [UInt8] = []
    private var size: UInt64

    init(_ entry: TreeEntry, name: [UInt8], user: [UInt8]?, group: [UInt8]?) {
        self.entry = entry
        self.name = name
        self.user = user
        self.group = group
        size = entry.type == .file ? entry.size : 0
        typeFlag =
            switch entry.type {
            case .file, .socket: UInt8(ascii: "0")
            case .symlink: UInt8(ascii: "2")
            case .characterDevice: UInt8(ascii: "3")
            case .blockDevice: UInt8(ascii: "4")
            case .directory: UInt8(ascii: "5")
            case .fifo: UInt8(ascii: "6")
            }
        if entry.type == .symlink, case .inline(let target) = entry.content { linkTarget = target }
    }

    /// Makes it another name of an earlier entry.
    mutating func makeLink(to first: [UInt8]) {
        typeFlag = UInt8(ascii: "1")
        linkTarget = first
        size = 0
    }

    /// One or more blocks of 512 bytes.
    func encode() -> [UInt8] {
        let records = extendedRecords()
        var bytes: [UInt8] = []
        if !records.isEmpty {
            let last = name.split(separator: 0x2f).last.map(Array.init) ?? []
            bytes += block(
                name: Array("PaxHeaders/".utf8) + last.prefix(80), type: UInt8(ascii: "x"), size: UInt64(records.count), link: [])
            bytes += records
            bytes += [UInt8](repeating: 0, count: (512 - records.count % 512) % 512)
        }
        return bytes + block(name: Array(name.prefix(100)), type: typeFlag, size: size, link: Array(linkTarget.prefix(100)))
    }

    private func extendedRecords() -> [UInt8] {
        var records: [UInt8] = []
        func add(_ key: String, _ value: [UInt8]) { records += DumpHeader.record(Array(key.utf8), value) }
        let names = [name, linkTarget, user ?? [], group ?? []]
        if names.contains(where: { String(validating: $0, as: UTF8.self) == nil }) { add("hdrcharset", Array("BINARY".utf8)) }
        if name.count > 100 { add("path", name) }
        if linkTarget.count > 100 { add("linkpath", linkTarget) }
        if size >= 1 << 33 { add("size", Array(String(size).utf8)) }
        if entry.uid >= 1 << 21 { add("uid", Array(String(entry.uid).utf8)) }
        if entry.gid >= 1 << 21 { add("gid", Array(String(entry.gid).utf8)) }
        if let user, user.count > 31 { add("uname", user) }
        if let group, group.count > 31 { add("gname", group) }
        let time = entry.modified
        if time.nanoseconds != 0 || time.seconds < 0 || time.seconds >= 1 << 33 { add("mtime", Array(decimal(time).utf8)) }
        if typeFlag != UInt8(ascii: "1") {
            for attribute in entry.attributes {
                // As GNU tar and star write them: what would end the key is escaped.
                let key = attribute.name.flatMap { byte -> [UInt8] in
                    byte == UInt8(ascii: "=") ? Array("%3D".utf8) : byte == UInt8(ascii: "%") ? Array("%25".utf8) : [byte]
                }
                records += DumpHeader.record(Array("SCHILY.xattr.".utf8) + key, attribute.value)
            }
        }
        return records
    }

    /// `length key=value\n`, where the length counts itself.
    private static func record(_ key: [UInt8], _ value: [UInt8]) -> [UInt8] {
        let rest = key.count + value.count + 3
        var length = rest
        while length != rest + String(length).utf8.count { length = rest + String(length).utf8.count }
        return Array(String(length).utf8) + [0x20] + key + [0x3d] + value + [0x0a]
    }

    private func decimal(_ time: Timestamp) -> String {
        if time.nanoseconds == 0 { return String(time.seconds) }
        let negative = time.seconds < 0
        let whole = negative ? (time.seconds + 1).magnitude : time.seconds.magnitude
        let nanoseconds = String(negative ? 1_000_000_000 - time.nanoseconds : time.nanoseconds)
        return (negative ? "-" : "") + String(whole) + "." + String(repeating: "0", count: 9 - nanoseconds.count) + nanoseconds
    }

    private func block(name: [UInt8], type: UInt8, size: UInt64, link: [UInt8]) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ bytes: [UInt8], _ offset: Int) { block.replaceSubrange(offset..<offset + bytes.count, with: bytes) }
        /// Octal digits and a NUL in `width` bytes; 0 for a number that has no room (a pax record then holds it).
        func number(_ value: UInt64, _ offset: Int, _ width: Int) {
            let digits = String(value, radix: 8)
            let text = digits.utf8.count < width ? digits : "0"
            put(Array((String(repeating: "0", count: width - 1 - text.utf8.count) + text).utf8), offset)
        }
        put(name, 0)
        number(UInt64(entry.mode), 100, 8)
        number(UInt64(entry.uid), 108, 8)
        number(UInt64(entry.gid), 116, 8)
        number(size, 124, 12)
        number(entry.modified.seconds < 0 ? 0 : UInt64(entry.modified.seconds), 136, 12)
        block[156] = type
        put(link, 157)
        put(Array("ustar\u{0}00".utf8), 257)
        put(Array((user ?? []).prefix(31)), 265)
        put(Array((group ?? []).prefix(31)), 297)
        if entry.type == .characterDevice || entry.type == .blockDevice {
            // As glibc's gnu_dev_major and gnu_dev_minor unpack it.
            let device = entry.deviceNumber
            number((device >> 8 & 0xfff) | (device >> 32 & 0xffff_f000), 329, 8)
            number((device & 0xff) | (device >> 12 & 0xffff_ff00), 337, 8)
        }
        put([UInt8](repeating: 0x20, count: 8), 148)
        let sum = block.reduce(UInt64(0)) { $0 + UInt64($1) }
        number(sum, 148, 7)
        return block
    }
}
