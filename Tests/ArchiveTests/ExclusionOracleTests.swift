import Archive
import BackupFormat
import Foundation
import Testing

/// Answers of `git check-ignore` for paths below the root of a repository whose only rules are `patterns`.
private func gitIgnored(_ paths: [String], patterns: [String]) throws -> [Bool]? {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("exclusions-\(UInt64.random(in: 0 ... .max))")
    defer { try? FileManager.default.removeItem(at: folder) }
    for path in paths where path.hasSuffix("/") {
        try FileManager.default.createDirectory(at: folder.appendingPathComponent(path), withIntermediateDirectories: true)
    }
    try Data((patterns.joined(separator: "\n") + "\n").utf8).write(to: folder.appendingPathComponent(".gitignore"))
    func git(_ arguments: [String], input: String) throws -> String? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/git")
        process.arguments = ["-C", folder.path] + arguments
        let standardInput = Pipe()
        let output = Pipe()
        process.standardInput = standardInput
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        standardInput.fileHandleForWriting.write(Data(input.utf8))
        try standardInput.fileHandleForWriting.close()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: text, as: UTF8.self)
    }
    guard try git(["init", "-q", "."], input: "") != nil else { return nil }
    let asked = paths.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
    guard
        let answer = try git(
            ["check-ignore", "--no-index", "--stdin", "-z", "-v", "-n"], input: asked.map { $0 + "\0" }.joined())
    else { return nil }
    // Source, line, pattern and path of each; no pattern, or one with `!`, means that it is kept.
    let fields = answer.split(separator: "\0", omittingEmptySubsequences: false)
    guard fields.count == 4 * paths.count + 1 else { return nil }
    return paths.indices.map { !fields[4 * $0 + 2].isEmpty && !fields[4 * $0 + 2].hasPrefix("!") }
}

@Test("generated patterns and paths: the same answers as git's", arguments: 0..<40)
func sameAsGit(seed: Int) throws {
    var random = SplitMix(seed: UInt64(seed) &* 7919 &+ 1)
    let pieces = [
        "a", "b", "ab", "c.o", "*", "?", "**", "a*", "*.o", "[ab]", "[!a]", "*b*", "\\*", "a\\b", "***", "[a-c]?", ".*",
    ]
    let names = ["a", "b", "ab", "c.o", "abb", ".x", "*", "ca", "aXb"]
    func pick(_ choices: [String]) -> String { choices[Int(random.next() % UInt64(choices.count))] }
    var patterns: [String] = []
    for _ in 0..<(1 + random.next() % 5) {
        var pattern = (0..<(1 + random.next() % 4)).map { _ in pick(pieces) }.joined(separator: "/")
        if random.next() % 3 == 0 { pattern = "/" + pattern }
        if random.next() % 4 == 0 { pattern += "/" }
        if random.next() % 4 == 0 { pattern = "!" + pattern }
        patterns.append(pattern)
    }
    var paths: Set<String> = []
    for _ in 0..<60 { paths.insert((0..<(1 + random.next() % 4)).map { _ in pick(names) }.joined(separator: "/")) }
    let folders = Set(paths.flatMap { path in path.indices.filter { path[$0] == "/" }.map { String(path[..<$0]) } })
    let asked = (paths.subtracting(folders) + folders.map { $0 + "/" }).sorted()

    // Here, a slash within does not tie a pattern to the top, so git is asked for what this means in its own terms.
    let forGit = patterns.map { pattern in
        let isNegated = pattern.hasPrefix("!")
        let body = isNegated ? String(pattern.dropFirst()) : pattern
        return (isNegated ? "!" : "") + (body.hasPrefix("/") ? body : "**/" + body)
    }
    guard let expected = try gitIgnored(asked, patterns: forGit) else { return }
    let rules = ExclusionRules(patterns.map { RawPath($0) })
    for (path, expected) in zip(asked, expected) {
        // git says of a path in an ignored folder that it is ignored; so does a walk that never goes there.
        var isExcluded = false
        var prefix = ""
        let isFolder = path.hasSuffix("/")
        let parts = path.split(separator: "/")
        for (index, part) in parts.enumerated() where !isExcluded {
            prefix += "/" + part
            isExcluded = rules.excludes(path: RawPath(prefix), isDirectory: isFolder || index < parts.count - 1)
        }
        #expect(isExcluded == expected, "\(path) by \(patterns)")
    }
}

private struct SplitMix {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
