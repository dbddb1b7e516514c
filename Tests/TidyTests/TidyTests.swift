import Foundation
import Testing

/// The repository, and its text files that are not ignored.
private struct Repository {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let files: [String]

    init() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/git")
        process.arguments = ["-C", root.path, "ls-files", "-co", "--exclude-standard", "-z"]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let listing = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        files = String(decoding: listing, as: UTF8.self).split(separator: "\0").map(String.init).sorted()
            .filter { [root] in FileManager.default.fileExists(atPath: root.appendingPathComponent($0).path) }
    }

    func text(_ file: String) throws -> String {
        String(decoding: try Data(contentsOf: root.appendingPathComponent(file)), as: UTF8.self)
    }

    /// Swift files, each with its lines and its code: the same lines without comments and string literals.
    func swiftFiles() throws -> [SwiftFile] {
        try files.filter { $0.hasSuffix(".swift") }.map { SwiftFile(name: $0, text: try text($0)) }
    }
}

private struct SwiftFile {
    let name: String
    let lines: [Substring]
    let code: [Substring]

    init(name: String, text: String) {
        self.name = name
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        code = codeOnly(text).split(separator: "\n", omittingEmptySubsequences: false).map { Substring($0) }
    }

    /// Places where `pattern` stands in the code.
    func places(_ pattern: some RegexComponent) -> [String] {
        code.enumerated().filter { $0.element.contains(pattern) }.map { "\(name):\($0.offset + 1): \(lines[$0.offset])" }
    }
}

/// The text with comments left out and every string literal empty. Lines stay where they are.
private func codeOnly(_ text: String) -> String {
    let bytes = Array(text.utf8)
    var result: [UInt8] = []
    var index = 0
    func starts(_ prefix: String, at index: Int) -> Bool { bytes[index...].starts(with: prefix.utf8) }
    func keepLines(_ range: Range<Int>) { for byte in bytes[range] where byte == 0x0a { result.append(byte) } }
    while index < bytes.count {
        let start = index
        if starts("//", at: index) {
            while index < bytes.count, bytes[index] != 0x0a { index += 1 }
        } else if starts("/*", at: index) {
            while index < bytes.count, !starts("*/", at: index) { index += 1 }
            index = min(index + 2, bytes.count)
            keepLines(start..<index)
        } else if bytes[index] == 0x22 || (bytes[index] == 0x23 && bytes[index...].drop { $0 == 0x23 }.first == 0x22) {
            while bytes[index] == 0x23 { index += 1 }
            let hashes = String(repeating: "#", count: index - start)
            let quote = starts("\"\"\"", at: index) ? "\"\"\"" : "\""
            index += quote.utf8.count
            while index < bytes.count, !starts(quote + hashes, at: index) {
                index += starts("\\" + hashes, at: index) && hashes.isEmpty ? 2 : 1
            }
            index = min(index + quote.utf8.count + hashes.utf8.count, bytes.count)
            result += "\"\"".utf8
            keepLines(start..<index)
        } else {
            result.append(bytes[index])
            index += 1
        }
    }
    return String(decoding: result, as: UTF8.self)
}

@Test("nothing that traps on data: no force unwrap, forced try or cast, implicitly unwrapped type, or fatal error")
func nothingForced() throws {
    for file in try Repository().swiftFiles() {
        #expect(file.places(/[A-Za-z0-9_)\]}"`?]!(?!=)/) == [])
        #expect(file.places(/\bfatalError\b/) == [])
    }
}

@Test("access is package or less")
func noPublic() throws {
    for file in try Repository().swiftFiles() {
        #expect(file.places(/\b(public|open) (final|static|class|func|var|let|struct|enum|actor|init|protocol|import)\b/) == [])
    }
}

@Test("a type that is Sendable by our word alone says why it is safe")
func uncheckedSendable() throws {
    for file in try Repository().swiftFiles() {
        for (index, line) in file.code.enumerated() where line.contains("@unchecked Sendable") {
            let around = file.lines[max(0, index - 6)..<min(file.lines.count, index + 3)]
            #expect(around.contains { $0.contains("// SAFETY:") }, "\(file.name):\(index + 1)")
        }
    }
}

@Test("no lock holds a bare function: each look at it would wrap it once more, until a call of it overflows the stack")
func noFunctionInLock() throws {
    for file in try Repository().swiftFiles() {
        #expect(file.places(/\b(Mutex|ConditionLock)<[^>\n]*\) *(async *)?(throws *(\([A-Za-z]*\) *)?)?->/) == [])
    }
}

@Test("no notes of unfinished work, no trailing blanks, no tabs in Swift")
func textHygiene() throws {
    let repository = try Repository()
    let notes = ["TO" + "DO", "FIX" + "ME", "XX" + "X:"]
    let suffixes = [".swift", ".md", ".c", ".h", ".toml", ".json", "Makefile", ".modulemap"]
    for name in repository.files where suffixes.contains(where: { name.hasSuffix($0) }) || name.hasPrefix(".ci/") {
        for (index, line) in try repository.text(name).split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let place = "\(name):\(index + 1): \(line)"
            #expect(!notes.contains { line.contains($0) }, "\(place)")
            #expect(line.last != " " && line.last != "\t" && line.last != "\r", "\(place)")
            #expect(!(name.hasSuffix(".swift") && line.contains("\t")), "\(place)")
        }
    }
}

@Test("no test needs a module that is compiled for testing: they run on the program as it is released")
func noTestableImports() throws {
    for file in try Repository().swiftFiles() {
        #expect(!file.lines.contains { $0.hasPrefix("@" + "testable ") }, "\(file.name)")
    }
}

@Test("no Swift file has more than 400 lines")
func shortFiles() throws {
    for file in try Repository().swiftFiles() { #expect(file.lines.count <= 401, "\(file.name)") }
}

@Test("no module is named after what it might be used for")
func noCatchAlls() throws {
    let banned = ["Utils", "Utilities", "Manager", "Helper", "Helpers", "Common", "Misc"]
    for name in try Repository().files where name.hasSuffix(".swift") {
        let words = name.split { $0 == "/" || $0 == "." || $0 == "+" }
        #expect(!words.contains { word in banned.contains { word.hasSuffix($0) } }, "\(name)")
    }
}

@Test("the top level holds what it should and no more")
func topLevel() throws {
    let allowed: Set = [
        "Package.swift", "Sources", "Tests", "Simulations", "configs", "docs", "README.md", "Makefile", ".ci", ".swift-format",
        ".gitignore", "LICENSE", "Package.resolved",
    ]
    let found = Set(try Repository().files.compactMap { $0.split(separator: "/").first.map(String.init) })
    #expect(found.subtracting(allowed) == [])
}

@Test("modules import only what docs/ARCHITECTURE.md allows them")
func imports() throws {
    let repository = try Repository()
    let allowed = moduleTable(try repository.text("docs/ARCHITECTURE.md"))
    let everywhere: Set = ["Glibc", "Synchronization"]
    let sources = repository.files.filter(isOfModule)
    let modules = Set(sources.compactMap { $0.split(separator: "/").dropFirst().first.map(String.init) })
    #expect(Set(allowed.keys) == modules)
    for file in try repository.swiftFiles() where isOfModule(file.name) {
        let module = String(file.name.split(separator: "/")[1])
        for (index, line) in file.code.enumerated() {
            guard
                let match = line.firstMatch(
                    of: /^\s*(?:@\w+(?:\([^)]*\))? )*(?:\w+ )?import (?:struct |func |class |enum )?(\w+)/)
            else { continue }
            let imported = String(match.1)
            #expect(
                everywhere.contains(imported) || allowed[module]?.contains(imported) == true,
                "\(file.name):\(index + 1): \(module) may not import \(imported)")
        }
    }
}

@Test("each module's main file opens with what it is for")
func moduleComments() throws {
    let repository = try Repository()
    for name in repository.files where isOfModule(name) && name.hasSuffix(".swift") {
        let parts = name.split(separator: "/")
        guard parts.count == 3, parts[2] == parts[1] + ".swift" else { continue }
        #expect(try repository.text(name).hasPrefix("// "), "\(name)")
    }
}

/// Modules are folders of Sources, and of Simulations.
private func isOfModule(_ file: String) -> Bool {
    (file.hasPrefix("Sources/") || file.hasPrefix("Simulations/")) && file.split(separator: "/").count > 2
}

/// The rows of the table of modules: what each may import.
private func moduleTable(_ text: String) -> [String: Set<String>] {
    var table: [String: Set<String>] = [:]
    for line in text.split(separator: "\n") where line.hasPrefix("| `") {
        let cells = line.split(separator: "|", omittingEmptySubsequences: false)
        guard cells.count == 5 else { continue }
        func names(_ cell: Substring) -> [String] { cell.matches(of: /`(\w+)`/).map { String($0.1) } }
        for module in names(cells[1]) { table[module] = Set(names(cells[3])) }
    }
    return table
}
