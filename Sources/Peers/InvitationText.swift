package import BackupFormat

/// What is wrong with the text of an invitation.
package enum InvitationError: Error, Sendable, Equatable, CustomStringConvertible {
    case notAnInvitation
    case laterVersion
    /// The end is missing.
    case cutOff
    /// There is more after the end.
    case tooLong
    /// A character is wrong, or some are missing or in another order.
    case mistyped
    /// The text is whole, and what it says breaks a rule.
    case malformed(FormatError)

    package var description: String {
        switch self {
        case .notAnInvitation: "this is no invitation; one begins with \(Invitation.prefix)\(Invitation.version)-"
        case .laterVersion: "the invitation is of a version that this program does not know; use a newer program"
        case .cutOff: "the invitation is cut off; copy all of it, up to its last character"
        case .tooLong: "there is something after the invitation's end; copy it alone"
        case .mistyped: "a character of the invitation is wrong or missing; copy it anew"
        case .malformed(let error): "the invitation was made by a program that breaks the rules (\(error))"
        }
    }
}

extension Invitation {
    /// The bytes that a text carries, checked.
    static func bytes(inText text: String) throws(InvitationError) -> [UInt8] {
        guard text.utf8.count <= Limits.invitationTextBytesMax else { throw .notAnInvitation }
        let rest = try afterPrefix(text.unicodeScalars.filter { !isFiller($0) })
        let parts = rest.split(omittingEmptySubsequences: false, whereSeparator: isHyphen)
        guard parts.count > 1 else { throw .cutOff }
        let check = parts[1]
        guard (parts[0] + check).allSatisfy({ Base32.value(of: $0) != nil }) else { throw .mistyped }
        guard check.count >= checkCharacters else { throw .cutOff }
        guard parts.count == 2, check.count == checkCharacters else { throw .tooLong }
        guard let bytes = Base32.decode(parts[0]), let found = Base32.decode(check), found == Invitation.check(bytes) else {
            throw .mistyped
        }
        return bytes
    }

    private static let checkCharacters = checkBytes * 8 / 5

    /// What follows `bakare-invite1-`.
    private static func afterPrefix(_ text: [Unicode.Scalar]) throws(InvitationError) -> ArraySlice<Unicode.Scalar> {
        let letters = Array(prefix.unicodeScalars)
        let matching = zip(text, letters).prefix { found, letter in
            found == letter || found.properties.lowercaseMapping == String(letter) || (letter == "-" && isHyphen(found))
        }.count
        guard matching == letters.count else {
            if matching == text.count, matching > 0 { throw .cutOff }
            throw .notAnInvitation
        }
        let number = text[matching...].prefix { ("0"..."9").contains($0) }
        let rest = text[(matching + number.count)...]
        guard let next = rest.first else { throw .cutOff }
        guard !number.isEmpty, isHyphen(next) else { throw .notAnInvitation }
        guard number.elementsEqual(version.unicodeScalars) else { throw .laterVersion }
        return rest.dropFirst()
    }

    /// White space, what cannot be seen, and what mail programs put around lines: quotation marks, `>`, the `=` of a soft line break.
    private static func isFiller(_ character: Unicode.Scalar) -> Bool {
        switch character.properties.generalCategory {
        case .control, .format, .spaceSeparator, .lineSeparator, .paragraphSeparator, .initialPunctuation, .finalPunctuation: true
        default: character.properties.isWhitespace || ["<", ">", "\"", "'", "`", "="].contains(character)
        }
    }

    private static func isHyphen(_ character: Unicode.Scalar) -> Bool {
        character.properties.generalCategory == .dashPunctuation || character == "\u{2212}"
    }
}
