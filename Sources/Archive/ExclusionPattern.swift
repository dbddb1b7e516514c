/// One gitignore pattern, compiled to segments between slashes.
///
/// Source of the rules: gitignore(5), and wildmatch for what it leaves open (an unclosed `[` and a trailing `\` match
/// nothing; wildcards and classes match single bytes). One difference, since a backup has no folder that patterns are
/// relative to: a leading slash means an absolute path, and every other pattern matches at any depth.
struct ExclusionPattern: Sendable {
    enum Token: Sendable, Equatable {
        case byte(UInt8)
        case anyByte
        case anyBytes
        case oneOf(ByteSet)
    }

    enum Segment: Sendable, Equatable {
        /// `**` (or more asterisks, as git has it): any number of folders; at the end, one or more names.
        case anyFolders
        case literal([UInt8])
        /// `*` and a literal.
        case suffix([UInt8])
        case glob([Token])
    }

    /// It begins with `!`: what it matches is kept.
    var isNegated = false
    /// It ends in a slash: it matches folders only.
    var directoriesOnly = false
    /// From the file system's root or, not anchored, from any folder: then `segments` begins with `anyFolders`.
    var segments: [Segment] = []

    /// Nil for a pattern that can match nothing: see ``ExclusionRules/malformation(of:)``.
    init?(_ pattern: [UInt8]) {
        var rest = pattern[...]
        if rest.first == UInt8(ascii: "!") {
            isNegated = true
            rest = rest.dropFirst()
        }
        let isAnchored = rest.first == UInt8(ascii: "/")
        guard var parts = Self.segments(rest) else { return nil }
        if rest.last == UInt8(ascii: "/") { directoriesOnly = true }
        parts.removeAll { $0.isEmpty }
        guard !parts.isEmpty else { return nil }
        segments = parts.map(Segment.init)
        if !isAnchored, segments.first != .anyFolders { segments.insert(.anyFolders, at: 0) }
    }

    /// The name to compare with, where that is all there is to it.
    var plainName: [UInt8]? {
        if segments.count == 2, segments[0] == .anyFolders, case .literal(let name) = segments[1] { return name }
        return nil
    }

    /// Splits at slashes outside of character classes. Nil if a class is not closed or an escape has nothing to escape.
    private static func segments(_ pattern: ArraySlice<UInt8>) -> [[Token]]? {
        var segments: [[Token]] = [[]]
        var tokens: [Token] = []
        var index = pattern.startIndex
        while index < pattern.endIndex {
            var byte = pattern[index]
            index += 1
            switch byte {
            case UInt8(ascii: "*"): tokens.append(.anyBytes)
            case UInt8(ascii: "?"): tokens.append(.anyByte)
            case UInt8(ascii: "["):
                guard let set = ByteSet(class: pattern, &index) else { return nil }
                tokens.append(.oneOf(set))
            case UInt8(ascii: "/"):
                segments[segments.count - 1] = tokens
                segments.append([])
                tokens = []
            default:
                if byte == UInt8(ascii: "\\") {
                    guard index < pattern.endIndex else { return nil }
                    byte = pattern[index]
                    index += 1
                    if byte == UInt8(ascii: "/") {
                        index -= 1
                        continue
                    }
                }
                tokens.append(.byte(byte))
            }
        }
        segments[segments.count - 1] = tokens
        return segments
    }

    /// Whether `name` in the folder with the absolute path `directory` matches.
    func matches(directory: UnsafeRawBufferPointer, name: UnsafeRawBufferPointer) -> Bool {
        guard let last = segments.last else { return false }
        if last == .anyFolders { return matches(segments.count, path: directory, name: name) }
        guard last.matches(name) else { return false }
        return matches(segments.count - 1, path: directory, name: nil)
    }

    /// Whether the first `count` segments match the whole of `path` (and `name` after it).
    ///
    /// Runs from the end, where names differ most. Only the last `**` met is ever tried again with more folders: what an
    /// earlier one could take over instead, the later one can as well.
    private func matches(_ count: Int, path: UnsafeRawBufferPointer, name: UnsafeRawBufferPointer?) -> Bool {
        var rest = PathEnd(path: path, name: name)
        var index = count
        var retry: (index: Int, rest: PathEnd)?
        if count > 0, segments[count - 1] == .anyFolders, count == segments.count {
            // At the end it stands for one name or more.
            guard rest.popLast() != nil else { return false }
        }
        while true {
            if index > 0, segments[index - 1] == .anyFolders {
                index -= 1
                if index == 0 { return true }
                retry = (index, rest)
                continue
            }
            if index == 0 {
                if rest.isEmpty { return true }
            } else if let component = rest.popLast(), segments[index - 1].matches(component) {
                index -= 1
                continue
            }
            guard var again = retry, again.rest.popLast() != nil else { return false }
            retry = again
            index = again.index
            rest = again.rest
        }
    }
}

/// The components of a path, taken from its end.
private struct PathEnd {
    var path: UnsafeRawBufferPointer
    var name: UnsafeRawBufferPointer?

    var isEmpty: Bool { name == nil && path.allSatisfy { $0 == UInt8(ascii: "/") } }

    mutating func popLast() -> UnsafeRawBufferPointer? {
        if let name {
            self.name = nil
            return name
        }
        var end = path.count
        while end > 0, path[end - 1] == UInt8(ascii: "/") { end -= 1 }
        guard end > 0 else { return nil }
        var start = end
        while start > 0, path[start - 1] != UInt8(ascii: "/") { start -= 1 }
        defer { path = UnsafeRawBufferPointer(rebasing: path[..<start]) }
        return UnsafeRawBufferPointer(rebasing: path[start..<end])
    }
}

extension ExclusionPattern.Segment {
    init(_ tokens: [ExclusionPattern.Token]) {
        let literal = tokens.compactMap { if case .byte(let byte) = $0 { byte } else { nil } }
        if tokens.count >= 2, tokens.allSatisfy({ $0 == .anyBytes }) {
            self = .anyFolders
        } else if literal.count == tokens.count {
            self = .literal(literal)
        } else if tokens.first == .anyBytes, literal.count == tokens.count - 1 {
            self = .suffix(literal)
        } else {
            self = .glob(tokens)
        }
    }

    func matches(_ name: UnsafeRawBufferPointer) -> Bool {
        switch self {
        case .anyFolders: true
        case .literal(let literal): literal.count == name.count && literal.elementsEqual(name)
        case .suffix(let suffix): name.count >= suffix.count && suffix.elementsEqual(name.suffix(suffix.count))
        case .glob(let tokens): globMatches(tokens, name)
        }
    }
}

/// Whether all of `name` matches. Only the last `*` met is ever given more bytes, so the time is at most the product of both lengths.
private func globMatches(_ tokens: [ExclusionPattern.Token], _ name: UnsafeRawBufferPointer) -> Bool {
    var token = 0
    var position = 0
    var retry: (token: Int, position: Int)?
    while true {
        if token < tokens.count, tokens[token] == .anyBytes {
            token += 1
            retry = (token, position)
            continue
        }
        if position < name.count {
            if token < tokens.count, tokens[token].matches(name[position]) {
                token += 1
                position += 1
                continue
            }
            guard let star = retry else { return false }
            token = star.token
            position = star.position + 1
            retry = (token, position)
        } else {
            return token == tokens.count
        }
    }
}

extension ExclusionPattern.Token {
    @inline(__always)
    fileprivate func matches(_ byte: UInt8) -> Bool {
        switch self {
        case .byte(let wanted): wanted == byte
        case .anyByte, .anyBytes: true
        case .oneOf(let set): set.contains(byte)
        }
    }
}
