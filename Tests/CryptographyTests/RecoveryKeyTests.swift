import BackupFormat
import Cryptography
import Foundation
import TestSupport
import Testing

@Suite("Recovery key")
struct RecoveryKeyTests {
    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")

    private func read(_ text: String) throws -> Bytes32 { try OwnerKey(recoveryText: text).seedBytes }

    /// The group that the 70 characters' character at `index` is in, counted from 1.
    private func group(_ index: Int) -> Int { index / 5 + 1 }

    /// The 70 characters of a key's text.
    private func characters(_ key: Bytes32) -> [Character] {
        Array(OwnerKey(seed: key).recoveryText.dropFirst("bakare-key1-".count).filter { $0 != "-" })
    }

    private func dashed(_ characters: [Character]) -> String {
        "bakare-key1-"
            + stride(from: 0, to: characters.count, by: 5).map { String(characters[$0..<min($0 + 5, characters.count)]) }
            .joined(separator: "-")
    }

    @Test("is found in what `key show` prints around it, and words before it alone make no key of what follows an empty line")
    func amongWords() throws {
        let key = Bytes32(words: (1, 2, 3, 4))
        let text = OwnerKey(seed: key).recoveryText
        let groups = text.split(separator: "-").map(String.init)
        let broken = groups[..<8].joined(separator: "-") + "-\n    " + groups[8...].joined(separator: "-")
        #expect(try read("\nRecovery key. Write it down:\n\n    \(broken)\n\nIt is shown again.\n") == key)
        #expect(try read("My key\r\n\(text.uppercased())\r\n") == key)
        #expect(try read("\n\n\(groups[..<8].joined(separator: "-"))\n\n\(groups[8...].joined(separator: "-"))\n") == key)
        #expect(throws: RecoveryKeyError.self) { try read("words \(text)") }
    }

    @Test("agrees with the texts that an independent program computed")
    func vectors() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: folder.appending(path: "Vectors/recovery-key.txt"), encoding: .utf8)
        let lines = text.split(separator: "\n")
        #expect(lines.count >= 5)
        for line in lines {
            let fields = line.split(separator: " ").map(String.init)
            try #require(fields.count == 2)
            let key = try #require(Bytes32(hex: fields[0]))
            #expect(OwnerKey(seed: key).recoveryText == fields[1])
            #expect(try read(fields[1]) == key)
        }
    }

    @Test("reads a key in either case, with spaces, line breaks, other dashes or no separators, and O I L for 0 1 1")
    func tolerance() throws {
        var choices = Choices(seed: 8)
        for _ in 0..<20 {
            let key = choices.bytes32()
            let text = OwnerKey(seed: key).recoveryText
            let bare = String(characters(key))
            let forms = [
                text.lowercased(), text.uppercased(), bare, bare.lowercased(),
                text.replacing("-", with: " "), text.replacing("-", with: "\r\n"), text.replacing("-", with: " – "),
                "  \n" + text + "\n", text.replacing("-", with: ""), "BAKARE KEYl " + bare,
                bare.replacing("0", with: "O").replacing("1", with: "I"),
                bare.replacing("0", with: "o").replacing("1", with: "l"),
                bare.enumerated().map { $0.offset % 7 == 3 ? "\($0.element) " : "\($0.element)" }.joined(),
            ]
            for form in forms { #expect(try read(form) == key, "\(form)") }
        }
    }

    @Test("finds every wrong character, and says which group it is in")
    func substitutions() throws {
        var choices = Choices(seed: 9)
        for _ in 0..<4 {
            let key = choices.bytes32()
            let good = characters(key)
            for index in good.indices {
                for wrong in RecoveryKeyTests.alphabet + ["U", "!", "é"] where wrong != good[index] {
                    var altered = good
                    altered[index] = wrong
                    let start = index / 5 * 5
                    let expected = RecoveryKeyError.Group(number: group(index), text: String(altered[start..<start + 5]))
                    #expect(throws: RecoveryKeyError.mistyped([expected])) { try read(dashed(altered)) }
                }
            }
        }
    }

    @Test("finds every exchange of neighbouring characters, and says which groups they are in")
    func transpositions() throws {
        var choices = Choices(seed: 10)
        for _ in 0..<50 {
            let good = characters(choices.bytes32())
            for index in 0..<good.count - 1 where good[index] != good[index + 1] {
                var altered = good
                altered.swapAt(index, index + 1)
                do {
                    _ = try read(String(altered))
                    Issue.record("read a key whose characters \(index) and \(index + 1) are exchanged")
                } catch RecoveryKeyError.mistyped(let groups) {
                    #expect(Set(groups.map(\.number)) == [group(index), group(index + 1)])
                }
            }
        }
    }

    @Test("finds exchanged groups, and says where each belongs")
    func exchangedGroups() throws {
        var choices = Choices(seed: 11)
        let good = characters(choices.bytes32())
        for first in 0..<13 {
            for second in first + 1..<14 {
                var groups = (0..<14).map { String(good[$0 * 5..<$0 * 5 + 5]) }
                groups.swapAt(first, second)
                do {
                    _ = try read(groups.joined(separator: "-"))
                    Issue.record("read a key whose groups \(first) and \(second) are exchanged")
                } catch RecoveryKeyError.outOfOrder(let moves) {
                    #expect(moves.map(\.group.number) == [first + 1, second + 1])
                    #expect(moves.map(\.belongs) == [second + 1, first + 1])
                }
            }
        }
    }

    @Test("says which group is missing, doubled, too short or too long")
    func counts() throws {
        var choices = Choices(seed: 12)
        let good = characters(choices.bytes32())
        let groups = (0..<14).map { String(good[$0 * 5..<$0 * 5 + 5]) }
        for index in groups.indices {
            var altered = groups
            altered.remove(at: index)
            #expect(throws: RecoveryKeyError.missing(near: index + 1, groups: 13)) { try read(altered.joined(separator: "-")) }
            altered = groups
            altered.insert(groups[index], at: index)
            #expect(
                throws: RecoveryKeyError.extra(.init(number: index + 2, text: groups[index]), groups: 15)
            ) { try read(altered.joined()) }
            altered = groups
            altered[index].removeLast()
            #expect(throws: RecoveryKeyError.wrongLength(.init(number: index + 1, text: altered[index]))) {
                try read(altered.joined(separator: " "))
            }
            altered[index] = groups[index] + "7"
            #expect(throws: RecoveryKeyError.wrongLength(.init(number: index + 1, text: altered[index]))) {
                try read("bakare-key1-" + altered.joined(separator: "-"))
            }
        }
        var short = good
        short.remove(at: 33)
        do {
            _ = try read(String(short))
            Issue.record("read a key that lacks a character")
        } catch RecoveryKeyError.wrongTotal(let characters, let near) {
            #expect(characters == 69)
            #expect(near.number >= 7)
        }
    }

    @Test("refuses nothing at all, another version, and groups that are right but do not belong together")
    func others() throws {
        for text in ["", "   \n", "bakare-key1", "bakare-key1-"] {
            #expect(throws: RecoveryKeyError.empty) { try read(text) }
        }
        var choices = Choices(seed: 13)
        let text = OwnerKey(seed: choices.bytes32()).recoveryText
        #expect(throws: RecoveryKeyError.unknownVersion) { try read(text.replacing("key1", with: "key2")) }
        let one = characters(choices.bytes32())
        let other = characters(choices.bytes32())
        #expect(throws: RecoveryKeyError.checksum) { try read(String(one[..<35] + other[35...])) }
    }

    @Test("explains itself")
    func messages() {
        let mistyped = RecoveryKeyError.mistyped([.init(number: 7, text: "K3Q9X")])
        #expect("\(mistyped)".hasPrefix("group 7, “K3Q9X”, is mistyped"))
    }

    @Test("never traps, nor reads a key, whatever the text")
    func anything() {
        var choices = Choices(seed: 14)
        let pieces = Array("bakare-key1 OIL0189xyzU\u{0}\n–é🙂\u{301}")
        for _ in 0..<5000 {
            let text = String((0..<choices.below(90)).map { _ in pieces[choices.below(pieces.count)] })
            #expect(throws: RecoveryKeyError.self) { try OwnerKey(recoveryText: text) }
        }
    }
}
