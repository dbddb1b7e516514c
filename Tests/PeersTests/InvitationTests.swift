import BackupFormat
import Cryptography
import Peers
import TestSupport
import Testing

@Suite("Invitations as text")
struct InvitationTests {
    private let sample = Invitation(
        inviterKey: sha256([1]), inviterOwner: OwnerID(sha256([2])), token: sha256([3]), kind: .friend, quotaBytes: 500 << 30,
        expires: 1_780_000_000, addresses: ["nas.example:4411", "[2001:db8::7]:4411", "192.168.1.9:4411"], name: "Zoë's NAS")

    private func error(_ text: String) -> InvitationError? {
        do { _ = try Invitation(text) } catch { return error }
        return nil
    }

    @Test("is one line without spaces, and gives back what was written", arguments: 0..<60 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var choices = Choices(seed: seed)
        let invitation = Invitation(
            inviterKey: choices.bytes32(), inviterOwner: OwnerID(choices.bytes32()), token: choices.bytes32(),
            kind: InvitationKind.allCases[choices.below(3)], quotaBytes: choices.next(),
            expires: Int64(bitPattern: choices.next()), addresses: (0..<choices.below(20)).map { "10.1.2.3:\($0 + 1)" },
            name: String(repeating: "ñ\u{7}", count: choices.below(90)))
        let text = invitation.text
        #expect(text.hasPrefix("bakare-invite1-"))
        #expect(
            text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d
            })
        let again = try Invitation(text)
        #expect(again == invitation)
        #expect(again.text == text)
        #expect(again.addresses.count <= Limits.addressesMax && again.name.utf8.count <= Limits.peerNameBytesMax)
    }

    @Test("survives mail: line breaks, quotation marks, spaces nobody sees, capitals, other hyphens")
    func mail() throws {
        let text = sample.text
        var wrapped = ""
        for (index, character) in text.enumerated() { wrapped += (index % 60 == 59 ? "\r\n> " : "") + String(character) }
        for changed in [
            "  \(text)\n", wrapped, "\"\(text)\"", "<\(text)>", "“\(text)”", text.uppercased(), text.lowercased(),
            text.replacing("-", with: "\u{2010}"), text.replacing("-", with: "–"), "\u{feff}\(text)\u{200b}",
            text.map { "\($0) " }.joined(), "=\n\(text.prefix(40))=\r\n\(text.dropFirst(40))",
            String(text.prefix(15)) + text.dropFirst(15).replacing("0", with: "O").replacing("1", with: "l"),
        ] {
            #expect(try Invitation(changed) == sample, "\(changed)")
        }
    }

    @Test("says what is wrong: no invitation, a later version, cut off, too long, mistyped")
    func errors() {
        let text = sample.text
        for other in ["", "hello", "bakare-key1-00000", "invite1-\(text)", "bakare-invite-ABC", "bakare-invitex-A", "\n"] {
            #expect(error(other) == .notAnInvitation, "\(other)")
        }
        for other in ["bakare-invite2-ABC-00000000", text.replacing("invite1", with: "invite10")] {
            #expect(error(other) == .laterVersion, "\(other)")
        }
        for count in 1..<text.count { #expect(error(String(text.prefix(count))) == .cutOff, "\(count) characters") }
        for end in ["0", "-", "-00000000"] { #expect(error(text + end) == .tooLong, "\(end)") }
        #expect(error(text + ".") == .mistyped)
        #expect(error(String(repeating: "b", count: Limits.invitationTextBytesMax + 1)) == .notAnInvitation)
        #expect(error("bakare-invite1-" + String(repeating: "0", count: 20_000)) == .cutOff)
    }

    @Test("notices every wrong, missing, doubled and exchanged character")
    func mistyped() {
        let text = Array(sample.text)
        for index in 15..<text.count where text[index] != "-" {
            for wrong in ["0", "Z", "!", "U"] where Character(wrong) != text[index] {
                var changed = text
                changed[index] = Character(wrong)
                #expect(error(String(changed)) == .mistyped, "\(wrong) at \(index)")
            }
            var missing = text
            missing.remove(at: index)
            #expect(error(String(missing)) != nil, "without \(index)")
            var doubled = text
            doubled.insert(text[index], at: index)
            #expect(error(String(doubled)) != nil, "\(index) twice")
            guard index + 1 < text.count, text[index + 1] != "-", text[index + 1] != text[index] else { continue }
            var exchanged = text
            exchanged.swapAt(index, index + 1)
            #expect(error(String(exchanged)) == .mistyped, "\(index) and the next exchanged")
        }
    }

    @Test("refuses bytes that break a rule, though their text is whole")
    func malformed() throws {
        func code(_ bytes: [UInt8]) -> FormatError.Code? {
            guard case .malformed(let error) = error(Invitation.text(carrying: bytes)) else { return nil }
            return error.code
        }
        let bytes = sample.encode()
        #expect(error(Invitation.text(carrying: bytes)) == nil)
        #expect(code([]) == .truncated)
        for count in bytes.indices { #expect(code(Array(bytes[..<count])) == .truncated, "\(count)") }
        #expect(code(bytes + [0]) == .trailing)
        var changed = bytes
        changed[96] = 0
        #expect(code(changed) == .unknown)
        let head = Array(bytes[..<97]) + [5, 6]
        #expect(code(head + [1, 0x1b, 0]) == .inconsistent, "a name that acts on a terminal")
        #expect(code(head + [1, 0xff, 0]) == .inconsistent, "a name that is no text")
        #expect(code(head + [1, 0x20, 0]) == .inconsistent)
        #expect(code(head + [0, 1, 1, 0x61]) == .inconsistent, "an address without a port")
        #expect(code(head + [0, 17]) == .outOfRange)
        #expect(code(head + [0x80, 2]) == .outOfRange, "a name of 256 bytes")
        #expect(code([UInt8](repeating: 0, count: Limits.invitationBytesMax + 1)) == .outOfRange)
        #expect(error(Invitation.text(carrying: head + [0, 0])) == nil)
    }

    @Test("the longest invitation is within its bounds")
    func longest() throws {
        let addresses = (0..<99).map { String(repeating: "h", count: 255) + ":\($0 + 10_000)" }
        let longest = Invitation(
            inviterKey: .zero, inviterOwner: OwnerID(.zero), token: .zero, kind: .writeOnlyDevice, quotaBytes: .max,
            expires: .min,
            addresses: addresses + ["no address"], name: String(repeating: "n", count: 999))
        #expect(longest.encode().count <= Limits.invitationBytesMax)
        #expect(longest.text.utf8.count * 3 <= Limits.invitationTextBytesMax)
        #expect(try Invitation(longest.text) == longest)
        #expect(longest.addresses == Array(addresses.prefix(16)))
    }
}
