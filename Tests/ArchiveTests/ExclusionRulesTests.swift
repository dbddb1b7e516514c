import Archive
import BackupFormat
import Testing

/// Whether `patterns` leave out the entry at an absolute path; a trailing slash in `path` makes it a folder.
private func excluded(_ path: String, by patterns: RawPath...) -> Bool {
    let isDirectory = path.hasSuffix("/")
    let path = isDirectory ? String(path.dropLast()) : path
    return ExclusionRules(patterns).excludes(path: RawPath(path), isDirectory: isDirectory)
}

@Test("a plain name matches at any depth, and only the whole name")
func plainNames() {
    #expect(excluded("/a/b/node_modules/", by: "node_modules"))
    #expect(excluded("/node_modules", by: "node_modules"))
    #expect(!excluded("/a/node_modules2", by: "node_modules"))
    #expect(!excluded("/a/Node_modules", by: "node_modules"))
}

@Test("a trailing slash matches folders only")
func foldersOnly() {
    #expect(excluded("/a/build/", by: "build/"))
    #expect(!excluded("/a/build", by: "build/"))
    #expect(!excluded("/a/x.d", by: "*.d/"))
}

@Test("a leading slash makes an absolute path, a slash within does not")
func anchoring() {
    #expect(excluded("/home/me/.cache/", by: "/home/*/.cache"))
    #expect(!excluded("/srv/home/me/.cache/", by: "/home/*/.cache"))
    #expect(!excluded("/home/me/work/.cache/", by: "/home/*/.cache"))
    #expect(excluded("/srv/x/target/debug/", by: "target/debug"))
    #expect(!excluded("/srv/x/target/y/debug/", by: "target/debug"))
    #expect(excluded("/proc/", by: "/proc"))
    #expect(!excluded("/srv/proc/", by: "/proc"))
}

@Test("two asterisks stand for any number of folders, and at the end for what is inside")
func anyFolders() {
    for path in ["/a/b", "/a/x/b", "/a/x/y/z/b"] { #expect(excluded(path, by: "/a/**/b"), "\(path)") }
    #expect(!excluded("/ab", by: "/a/**/b"))
    #expect(excluded("/a/x", by: "/a/**"))
    #expect(!excluded("/a/", by: "/a/**"))
    #expect(excluded("/x/a/b/c", by: "**/a/**/c"))
    #expect(excluded("/p/q/x/y/q/z", by: "p/**/q/z"))
    #expect(excluded("/anything", by: "**"))
    #expect(!excluded("/a/b/c", by: "/a**c"))
}

@Test("the last pattern that matches decides, and an exclamation mark keeps")
func negation() {
    #expect(!excluded("/a/keep.log", by: "*.log", "!keep.log"))
    #expect(excluded("/a/keep.log", by: "!keep.log", "*.log"))
    #expect(excluded("/a/keep.log", by: "*.log", "!keep.log", "/a/keep.log"))
    #expect(!excluded("/a/keep.log", by: "keep.log", "!*.log"))
    #expect(excluded("/a/build", by: "build", "!build/"))
    #expect(!excluded("/a/build/", by: "build", "!build/"))
    #expect(ExclusionRules(["!a"]).isEmpty)
    #expect(ExclusionRules([]).isEmpty)
}

@Test("escapes and character classes")
func escapesAndClasses() {
    #expect(excluded("/!a", by: "\\!a"))
    #expect(excluded("/#a", by: "\\#a"))
    #expect(excluded("/a*b", by: "a\\*b"))
    #expect(!excluded("/axb", by: "a\\*b"))
    #expect(excluded("/x.o", by: "*.[oa]"))
    #expect(!excluded("/x.c", by: "*.[oa]"))
    #expect(excluded("/x7", by: "x[0-9]"))
    #expect(!excluded("/x7", by: "x[!0-9]"))
    #expect(!excluded("/x7", by: "x[^0-9]"))
    #expect(excluded("/x]", by: "x[]]"))
    #expect(excluded("/x-", by: "x[a-]"))
    #expect(excluded("/xQ", by: "x[[:upper:]]"))
    #expect(!excluded("/xq", by: "x[[:upper:]]"))
    #expect(excluded("/a-b", by: "a?b"))
    #expect(!excluded("/a/b", by: "a?b"))
}

@Test("names are bytes, whether UTF-8 or not")
func rawBytes() {
    let latin = RawPath(bytes: [0x2f, 0x66, 0xfc, 0x72])
    #expect(ExclusionRules([RawPath(bytes: [0x66, 0xfc, 0x72])]).excludes(path: latin, isDirectory: false))
    #expect(ExclusionRules(["f?r"]).excludes(path: latin, isDirectory: false))
    #expect(!ExclusionRules(["für"]).excludes(path: latin, isDirectory: false))
}

@Test("a pattern that can match nothing is passed over, and the reason is told")
func malformed() {
    for pattern: RawPath in ["[a", "a\\", "x[[:nope:]]", "!", "/", ""] {
        #expect(ExclusionRules.malformation(of: pattern) != nil, "\(pattern)")
        #expect(ExclusionRules([pattern]).isEmpty)
    }
    #expect(ExclusionRules.malformation(of: "[a]*/**/b") == nil)
}

@Test("an exclude file has comments, blank lines, line ends of both kinds and quoted spaces")
func excludeFiles() {
    let text = "\u{feff}*.o\n# note\n\n\\#x\r\n  lead\ntrail   \nquoted\\ \\ \n!keep"
    let expected: [RawPath] = ["*.o", "\\#x", "  lead", "trail", "quoted\\ \\ ", "!keep"]
    #expect(ExclusionRules.patterns(inFile: Array(text.utf8)) == expected)
}

@Test("many names and a long chain of wildcards stay quick")
func bounded() {
    let rules = ExclusionRules((0..<10_000).map { RawPath("name\($0)") })
    #expect(rules.excludes(path: "/a/name7777", isDirectory: false))
    #expect(!rules.excludes(path: "/a/name10000", isDirectory: false))
    let deep = RawPath(String(repeating: "/a", count: 2000))
    let hostile = RawPath(String(repeating: "**/a/", count: 50) + "b/a")
    #expect(!ExclusionRules([hostile]).excludes(path: deep, isDirectory: false))
    let stars = RawPath(String(repeating: "*a", count: 100) + "b")
    #expect(!ExclusionRules([stars]).excludes(path: RawPath("/" + String(repeating: "a", count: 255)), isDirectory: false))
}

@Test("a cache is known by the tag's signature")
func cacheTag() {
    let text = Array("Signature: 8a477f597d28d172789f06886806bc55\n# made by a test".utf8)
    #expect(text.withUnsafeBytes { CacheDirectoryTag.isSigned($0) })
    #expect(!text.dropFirst().withUnsafeBytes { CacheDirectoryTag.isSigned($0) })
    #expect(!text.prefix(42).withUnsafeBytes { CacheDirectoryTag.isSigned($0) })
}
