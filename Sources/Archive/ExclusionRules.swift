package import BackupFormat

/// Exclusion patterns, compiled for a walk that asks about every entry.
///
/// Rules are those of gitignore: the last pattern that matches decides, `!` keeps what an earlier one excluded, a trailing
/// slash matches folders only, and `**` stands for any folders. A pattern that begins with a slash is an absolute path;
/// any other matches at any depth. All on raw bytes.
///
/// Plain names cost one hash lookup for all of them together; other patterns are tried by their last part first.
package struct ExclusionRules: Sendable {
    /// The pattern's place among all, which gives its rank, with the pattern.
    private struct Ranked {
        let rank: Int
        let pattern: ExclusionPattern
    }

    /// The ranks of the last patterns that are just this name: of any entry, and of a folder. -1 for none.
    private struct NameRanks {
        var any = -1
        var directory = -1
    }

    private let isNegated: [Bool]
    private let names: NameTable
    private let ranks: [NameRanks]
    /// What is more than a name, the last first.
    private let others: [Ranked]

    /// Nothing is excluded: there is no need to ask.
    package let isEmpty: Bool

    /// Compiles patterns in order. One that can match nothing is passed over: see ``malformation(of:)``.
    package init(_ patterns: [RawPath]) {
        var isNegated: [Bool] = []
        var names = NameTable()
        var ranks: [NameRanks] = []
        var others: [Ranked] = []
        for text in patterns {
            guard let pattern = ExclusionPattern(text.bytes) else { continue }
            let rank = isNegated.count
            isNegated.append(pattern.isNegated)
            if let name = pattern.plainName {
                let place = names.insert(name)
                if place == ranks.count { ranks.append(NameRanks()) }
                if pattern.directoriesOnly { ranks[place].directory = rank } else { ranks[place].any = rank }
            } else {
                others.append(Ranked(rank: rank, pattern: pattern))
            }
        }
        self.isNegated = isNegated
        self.names = names
        self.ranks = ranks
        self.others = others.reversed()
        isEmpty = !isNegated.contains(false)
    }

    /// Whether to leave out the entry `name` of the folder with the absolute path `directory`.
    ///
    /// To be asked on the way down: what lies in an excluded folder is not asked about, so no pattern brings it back.
    package func excludes(directory: RawPath, name: UnsafeRawBufferPointer, isDirectory: Bool) -> Bool {
        if isEmpty { return false }
        var best = -1
        if !ranks.isEmpty, let place = names.find(name) {
            best = isDirectory ? max(ranks[place].any, ranks[place].directory) : ranks[place].any
        }
        if let first = others.first, first.rank > best {
            directory.bytes.withUnsafeBytes { directory in
                for other in others where isDirectory || !other.pattern.directoriesOnly {
                    if other.rank < best { break }
                    if other.pattern.matches(directory: directory, name: name) {
                        best = other.rank
                        break
                    }
                }
            }
        }
        return best >= 0 && !isNegated[best]
    }

    /// Whether to leave out the file or folder at an absolute path, of which each parent is known to be kept.
    package func excludes(path: RawPath, isDirectory: Bool) -> Bool {
        guard let slash = path.bytes.lastIndex(of: UInt8(ascii: "/")), slash + 1 < path.bytes.count else { return false }
        let directory = RawPath(bytes: Array(path.bytes[...slash]))
        return path.bytes[(slash + 1)...].withUnsafeBytes {
            excludes(directory: directory, name: $0, isDirectory: isDirectory)
        }
    }

    /// Why `pattern` can match nothing, in words; nil if it is well formed.
    package static func malformation(of pattern: RawPath) -> String? {
        if ExclusionPattern(pattern.bytes) != nil { return nil }
        if pattern.components.isEmpty || pattern.bytes == [UInt8(ascii: "!")] { return "the pattern is empty" }
        if pattern.bytes.last == UInt8(ascii: "\\") { return "a backslash at the end has nothing to escape" }
        return "a character class [...] is not closed or not known; write \\[ for the bracket itself"
    }

    /// The patterns in the text of an exclude file: one a line; blank lines and those that begin with `#` say nothing, and
    /// spaces at the end count only after a backslash.
    package static func patterns(inFile text: [UInt8]) -> [RawPath] {
        let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]
        let text = text.starts(with: byteOrderMark) ? text[3...] : text[...]
        return text.split(separator: UInt8(ascii: "\n")).compactMap { line in
            var line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            if line.first == UInt8(ascii: "#") { return nil }
            while line.last == UInt8(ascii: " "), !isEscaped(lastOf: line) { line.removeLast() }
            return line.isEmpty ? nil : RawPath(bytes: Array(line))
        }
    }

    private static func isEscaped(lastOf line: ArraySlice<UInt8>) -> Bool {
        line.dropLast().reversed().prefix { $0 == UInt8(ascii: "\\") }.count % 2 == 1
    }
}

/// Names with open addressing, so that a lookup neither allocates nor hashes more than the name.
private struct NameTable: Sendable {
    private var names: [[UInt8]] = []
    /// A place in `names` + 1, or 0; its count is a power of two.
    private var slots = [Int32](repeating: 0, count: 16)

    func find(_ name: UnsafeRawBufferPointer) -> Int? {
        var slot = Self.hash(name) & (slots.count - 1)
        while slots[slot] != 0 {
            let place = Int(slots[slot]) - 1
            if names[place].count == name.count, names[place].elementsEqual(name) { return place }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    /// The place of `name`, new or found.
    mutating func insert(_ name: [UInt8]) -> Int {
        if let place = name.withUnsafeBytes({ find($0) }) { return place }
        names.append(name)
        if names.count * 2 > slots.count { slots = [Int32](repeating: 0, count: slots.count * 2) }
        slots.withUnsafeMutableBufferPointer { slots in
            let first = slots.contains { $0 != 0 } ? names.count - 1 : 0
            for place in first..<names.count {
                var slot = names[place].withUnsafeBytes { Self.hash($0) } & (slots.count - 1)
                while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
                slots[slot] = Int32(place + 1)
            }
        }
        return names.count - 1
    }

    /// FNV-1a.
    private static func hash(_ name: UnsafeRawBufferPointer) -> Int {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return Int(truncatingIfNeeded: hash >> 20)
    }
}
