internal import Archive
internal import BackupFormat

/// What people and file systems wrote: patterns and names.
let textTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "exclusions",
        run: { bytes in
            // The text of an exclude file, and after a NUL a path.
            let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
            let patterns = ExclusionRules.patterns(inFile: Array(parts[0]))
            let path = RawPath(bytes: [0x2f] + (parts.count > 1 ? Array(parts[1].prefix(4096)) : []))
            for isDirectory in [false, true] { try compareRules(patterns, path, isDirectory) }
        },
        seeds: {
            [
                Array("*.o\n!keep.o\n/home/*/.cache\nnode_modules/\0home/x/.cache".utf8),
                Array("**/a/**/b\n[a-z!]*[[:digit:]]\n\\!x\\ \n# no\n\u{feff}\0a/a/b/b".utf8),
                Array("a*b*c*d*e*\n**/**/**/x\0aaaaaaaabbbbbbbbcccccccc/a/a/a/a".utf8),
            ]
        }),
    FuzzTarget(
        name: "path-text",
        run: { bytes in
            let path = RawPath(bytes: Array(bytes))
            let text = path.description
            try promise(bytesShown(by: text) == path.bytes, "text that stands for other bytes")
            for scalar in text.unicodeScalars {
                try promise(scalar.value >= 0x20 && !(0x7f...0x9f).contains(scalar.value), "a control character")
                try promise(!(0x202a...0x202e).contains(scalar.value) && !(0x2066...0x2069).contains(scalar.value), "a turn")
            }
            try promise(path.components.allSatisfy { !$0.bytes.isEmpty && !$0.bytes.contains(0x2f) }, "components")
        },
        seeds: {
            try Vectors.read("tree-entries").prefix(3).map(\.bytes) + [
                Array("/home/\u{202e}txt.exe\\x41\u{7f}\u{85}".utf8), [0xff, 0xfe, 0x0a, 0x1b, 0x5b], [0xf0, 0x9f, 0x98],
            ]
        }),
]

/// The rules together must say what the last pattern that matches by itself says.
private func compareRules(_ patterns: [RawPath], _ path: RawPath, _ isDirectory: Bool) throws(BrokenPromise) {
    var expected = false
    for pattern in patterns where ExclusionRules.malformation(of: pattern) == nil {
        let isNegated = pattern.bytes.first == UInt8(ascii: "!")
        let body = isNegated ? RawPath(bytes: Array(pattern.bytes.dropFirst())) : pattern
        // What begins with two marks is a name that begins with one.
        let alone = body.bytes.first == UInt8(ascii: "!") ? RawPath(bytes: [UInt8(ascii: "\\")] + body.bytes) : body
        if ExclusionRules([alone]).excludes(path: path, isDirectory: isDirectory) { expected = !isNegated }
    }
    try promise(
        ExclusionRules(patterns).excludes(path: path, isDirectory: isDirectory) == expected,
        "rules together say otherwise than one by one")
}

/// The bytes that a path's text for people stands for.
private func bytesShown(by text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let first = rest.popFirst() {
        guard first == UInt8(ascii: "\\") else {
            bytes.append(first)
            continue
        }
        guard let kind = rest.popFirst() else { return nil }
        if kind == UInt8(ascii: "\\") {
            bytes.append(kind)
        } else {
            guard kind == UInt8(ascii: "x"), let byte = hexadecimalBytes(String(decoding: rest.prefix(2), as: UTF8.self)),
                byte.count == 1
            else { return nil }
            bytes += byte
            rest = rest.dropFirst(2)
        }
    }
    return bytes
}
