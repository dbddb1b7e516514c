/// What is wrong with the text of a recovery key, by group, so that the user knows where to look. Groups count from 1.
package enum RecoveryKeyError: Error, Sendable, Equatable, CustomStringConvertible {
    package struct Group: Sendable, Equatable {
        package let number: Int
        /// As the user typed it.
        package let text: String

        package init(number: Int, text: String) {
            self.number = number
            self.text = text
        }

        init(number: Int, characters: [Unicode.Scalar]) {
            var text = ""
            text.unicodeScalars.append(contentsOf: characters)
            self.init(number: number, text: RawPath(text).description)
        }
    }

    package struct Move: Sendable, Equatable {
        package let group: Group
        /// The number under which the group would be valid.
        package let belongs: Int
    }

    /// Nothing, or a text that begins as a key of a version this program does not know.
    case empty
    case unknownVersion
    /// Groups with a wrong character.
    case mistyped([Group])
    /// Groups that are valid, but each in another's place.
    case outOfOrder([Move])
    /// A group that has not five characters.
    case wrongLength(Group)
    /// A group missing, near the number given.
    case missing(near: Int, groups: Int)
    /// A group too many: the one given stands twice or belongs elsewhere.
    case extra(Group, groups: Int)
    /// Characters, counted, that cannot make 14 groups of five; the first mistake is in the group given.
    case wrongTotal(characters: Int, near: Group)
    /// Every group is right by itself, but not all together.
    case checksum

    package var description: String {
        switch self {
        case .empty:
            "there is no recovery key in this text; it begins with \(RecoveryKeyText.prefix)"
        case .unknownVersion:
            "this recovery key is of a version that this program does not know; use a newer program"
        case .mistyped(let groups) where groups.count == 1:
            "\(name(groups)), is mistyped; compare it with what you wrote down"
        case .mistyped(let groups):
            "\(name(groups)), are mistyped; compare them with what you wrote down"
        case .outOfOrder(let moves):
            "groups are in the wrong order: "
                + moves.map { "\(name([$0.group])), belongs at \($0.belongs)" }.joined(separator: "; ")
        case .wrongLength(let group):
            "\(name([group])), has \(group.text.unicodeScalars.count) characters instead of five"
        case .missing(let near, let groups):
            "group \(near) seems to be missing: there are \(groups) groups instead of \(RecoveryKeyText.groupCount)"
        case .extra(let group, let groups):
            "\(name([group])), does not belong there: there are \(groups) groups instead of \(RecoveryKeyText.groupCount)"
        case .wrongTotal(let characters, let near):
            "there are \(characters) characters instead of \(RecoveryKeyText.groupCount * RecoveryKeyText.groupCharacters); "
                + "the first mistake is in \(name([near])), or just before it"
        case .checksum:
            "every group is well-formed, but they do not make a key together; compare all of them with what you wrote down"
        }
    }

    private func name(_ groups: [Group]) -> String {
        groups.map { "group \($0.number), “\($0.text)”" }.joined(separator: ", and ")
    }

    /// Where words stand before a line that begins with the key's prefix, as in what `key show` prints: that line, and those after it up to an
    /// empty one. Else all of `text`.
    private static func keyAlone(_ text: String) -> String {
        func isEmpty(_ line: Substring) -> Bool { line.allSatisfy(\.isWhitespace) }
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        let start = lines.firstIndex { $0.drop(while: \.isWhitespace).lowercased().hasPrefix(RecoveryKeyText.prefix + "-") }
        guard let start, !lines[..<start].allSatisfy(isEmpty) else { return text }
        return lines[start...].prefix { !isEmpty($0) }.joined(separator: "\n")
    }

    /// The 14 groups of five characters in `text`, by its separators where they tell, else by counting.
    static func split(_ text: String) throws(RecoveryKeyError) -> [[Unicode.Scalar]] {
        var rest = Array(keyAlone(text).unicodeScalars)[...]
        try dropPrefix(&rest)
        let written = rest.split(whereSeparator: isSeparator).map(Array.init)
        let all = written.flatMap { $0 }
        guard !all.isEmpty else { throw .empty }
        let size = RecoveryKeyText.groupCharacters
        let counted = stride(from: 0, to: all.count, by: size).map { Array(all[$0..<min(all.count, $0 + size)]) }
        if all.count == RecoveryKeyText.groupCount * size { return counted }
        if written.count == RecoveryKeyText.groupCount, let odd = written.firstIndex(where: { $0.count != size }) {
            throw .wrongLength(Group(number: odd + 1, characters: written[odd]))
        }
        let first = counted.indices.first { RecoveryKeyText.place(of: counted[$0]) != $0 } ?? counted.count
        if all.count % size == 0 {
            if all.count < RecoveryKeyText.groupCount * size { throw .missing(near: first + 1, groups: counted.count) }
            throw .extra(Group(number: first + 1, characters: counted[min(first, counted.count - 1)]), groups: counted.count)
        }
        // One group of the written ones with an odd length tells more than where counting goes astray.
        let odd = written.indices.filter { written[$0].count != size }
        if odd.count == 1, written.count > 2, let index = odd.first {
            throw .wrongLength(Group(number: index + 1, characters: written[index]))
        }
        let near = min(first, counted.count - 1)
        throw .wrongTotal(characters: all.count, near: Group(number: near + 1, characters: counted[near]))
    }

    /// Takes `bakare-key1` off the front, if it is there.
    private static func dropPrefix(_ rest: inout ArraySlice<Unicode.Scalar>) throws(RecoveryKeyError) {
        let start = rest.drop(while: isSeparator)
        guard let afterName = dropping("BAKARE", start),
            let afterKey = dropping("KEY", afterName.drop(while: isSeparator)), let version = afterKey.first
        else { return }
        guard Base32.value(of: version) == 1 else { throw .unknownVersion }
        rest = afterKey.dropFirst()
    }

    /// `text` without `word` at its front; nil when it does not begin so.
    private static func dropping(_ word: String, _ text: ArraySlice<Unicode.Scalar>) -> ArraySlice<Unicode.Scalar>? {
        let letters = Array(word.unicodeScalars)
        let found = text.prefix(letters.count).map { $0.properties.uppercaseMapping }
        return found == letters.map { String($0) } ? text.dropFirst(letters.count) : nil
    }

    private static func isSeparator(_ character: Unicode.Scalar) -> Bool {
        switch character.properties.generalCategory {
        case .dashPunctuation, .connectorPunctuation, .spaceSeparator, .lineSeparator, .paragraphSeparator, .control, .format:
            true
        default: character == "." || character == "," || character == "\u{2212}"
        }
    }
}
