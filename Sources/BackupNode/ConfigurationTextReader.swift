internal import BackupFormat

/// Reads keys and values off the front of a text, and knows where it stands.
struct ConfigurationTextReader {
    private let bytes: [UInt8]
    private var offset = 0
    private var line = 1
    private var lineStart = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        // What some editors put before a text.
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { offset = 3 }
        lineStart = offset
    }

    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    var place: ConfigurationText.Place { place(at: offset) }

    /// `offset` must lie in the line that is being read.
    private func place(at offset: Int) -> ConfigurationText.Place {
        let characters = bytes[min(lineStart, offset)..<offset].count { $0 & 0xc0 != 0x80 }
        return ConfigurationText.Place(line: line, column: characters + 1)
    }

    func mistake(_ message: String) -> ConfigurationText.Mistake { mistake(at: offset, message) }

    private func mistake(at offset: Int, _ message: String) -> ConfigurationText.Mistake {
        ConfigurationText.Mistake(place: place(at: offset), message: message)
    }

    /// Throws for bytes that are not UTF-8, and for control characters, which TOML does not have.
    mutating func requireText() throws(ConfigurationText.Mistake) {
        let start = offset
        var decoder = UTF8()
        var iterator = bytes[offset...].makeIterator()
        decoding: while true {
            switch decoder.decode(&iterator) {
            case .emptyInput: break decoding
            case .error: throw mistake("not UTF-8")
            case .scalarValue("\n"):
                offset += 1
                line += 1
                lineStart = offset
            case .scalarValue("\r") where offset + 1 < bytes.count && bytes[offset + 1] == UInt8(ascii: "\n"): offset += 1
            case .scalarValue(let scalar):
                if scalar.value < 0x20 && scalar != "\t" || scalar.value == 0x7f {
                    throw mistake("a control character, \(RawPath(String(scalar))), has no place here")
                }
                offset += UTF8.width(scalar)
            }
        }
        (offset, line, lineStart) = (start, 1, start)
    }

    mutating func take(_ text: String) -> Bool {
        guard bytes[offset...].starts(with: text.utf8) else { return false }
        offset += text.utf8.count
        return true
    }

    mutating func skipBlanks() { while next == UInt8(ascii: " ") || next == UInt8(ascii: "\t") { offset += 1 } }

    /// Skips blanks, comments and ends of lines. False at the end of the text.
    mutating func skipToContent() -> Bool {
        while true {
            skipBlanks()
            if next == UInt8(ascii: "#") { skipComment() }
            if next == UInt8(ascii: "\r") { offset += 1 }
            guard next == UInt8(ascii: "\n") else { return next != nil }
            offset += 1
            line += 1
            lineStart = offset
        }
    }

    private mutating func skipComment() {
        while let byte = next, byte != UInt8(ascii: "\n"), byte != UInt8(ascii: "\r") { offset += 1 }
    }

    /// Throws unless the rest of the line is blank or a comment.
    mutating func endLine() throws(ConfigurationText.Mistake) {
        skipBlanks()
        if next == UInt8(ascii: "#") { skipComment() }
        guard next == nil || next == UInt8(ascii: "\n") || next == UInt8(ascii: "\r") else {
            throw mistake("expected the end of the line, not \(rest())")
        }
    }

    /// What follows, for a message: up to a blank.
    private func rest() -> String {
        let word = bytes[offset...].prefix(60).prefix { $0 > 0x20 }
        return word.isEmpty ? "the end of the line" : shownName(String(decoding: word, as: UTF8.self))
    }

    /// A key of one or more parts, and the blanks after it.
    mutating func key(in what: String) throws(ConfigurationText.Mistake) -> [String] {
        var parts: [String] = []
        repeat {
            skipBlanks()
            guard parts.count < ConfigurationText.keyPartsMax else {
                throw mistake("a key has at most \(ConfigurationText.keyPartsMax) parts")
            }
            if next == UInt8(ascii: "\"") || next == UInt8(ascii: "'") {
                parts.append(try string())
            } else {
                let word = bytes[offset...].prefix(while: Self.isBare)
                guard !word.isEmpty else { throw mistake("expected \(what), of letters, digits, _ and -, not \(rest())") }
                offset += word.count
                parts.append(String(decoding: word, as: UTF8.self))
            }
            skipBlanks()
        } while take(".")
        return parts
    }

    private static func isBare(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    mutating func value() throws(ConfigurationText.Mistake) -> ConfigurationValue {
        guard take("[") else { return try scalar() }
        let start = ConfigurationText.Place(line: line, column: place.column - 1)
        var texts: [String] = []
        var isOfStrings = true
        func unclosed() -> ConfigurationText.Mistake {
            ConfigurationText.Mistake(place: start, message: "the list that begins here has no ] at its end")
        }
        while true {
            guard skipToContent() else { throw unclosed() }
            if take("]") { break }
            if next == UInt8(ascii: "[") { throw mistake("expected a string: a list in a list has no place here") }
            if case .string(let text) = try scalar() { texts.append(text) } else { isOfStrings = false }
            guard skipToContent() else { throw unclosed() }
            if take("]") { break }
            guard take(",") else {
                throw mistake("expected , or ] in the list that begins on line \(start.line), not \(rest())")
            }
        }
        return isOfStrings ? .strings(texts) : .other("a list of other things than strings")
    }

    private mutating func scalar() throws(ConfigurationText.Mistake) -> ConfigurationValue {
        if next == UInt8(ascii: "\"") || next == UInt8(ascii: "'") { return .string(try string()) }
        if next == UInt8(ascii: "{") {
            throw mistake("expected a value: a table stands under a heading in brackets, not in braces")
        }
        let word = bytes[offset...].prefix { byte in
            Self.isBare(byte) || byte >= 0x80 || [UInt8(ascii: "+"), UInt8(ascii: "."), UInt8(ascii: ":")].contains(byte)
        }
        guard !word.isEmpty else { throw mistake("expected a value, and text in quotes, not \(rest())") }
        let text = String(decoding: word, as: UTF8.self)
        guard let value = try bareValue(text) else {
            let isFlag = ["true", "false"].contains(text.lowercased())
            let hint = isFlag ? "in small letters" : "any other value in quotes: \"\(shownName(text))\""
            throw mistake("expected true, false or a whole number, or \(hint)")
        }
        offset += word.count
        return value
    }

    /// What stands without quotes; nil if it is nothing that TOML has.
    private func bareValue(_ text: String) throws(ConfigurationText.Mistake) -> ConfigurationValue? {
        if text == "true" || text == "false" { return .bool(text == "true") }
        let isNegative = text.hasPrefix("-")
        let unsigned = text.hasPrefix("+") || isNegative ? String(text.dropFirst()) : text
        if ["inf", "nan"].contains(unsigned) { return .other("a fraction") }
        guard let first = unsigned.utf8.first, (0x30...0x39).contains(first) else { return nil }
        let radix = unsigned == text ? ["0x": 16, "0o": 8, "0b": 2][unsigned.prefix(2)] : nil
        let digits = radix == nil ? unsigned : String(unsigned.dropFirst(2))
        let groups = digits.split(separator: "_", omittingEmptySubsequences: false)
        let isNumber = groups.allSatisfy { group in
            !group.isEmpty && group.allSatisfy { $0.isASCII && ($0.hexDigitValue ?? 99) < radix ?? 10 }
        }
        if isNumber, radix != nil || digits.first != "0" || digits.count == 1 {
            guard let number = Int((isNegative ? "-" : "") + groups.joined(), radix: radix ?? 10) else {
                throw mistake("expected a whole number below 2^63, not \(shownName(text))")
            }
            return .int(number)
        }
        if Self.isDate(digits) { return .other("a date") }
        let isFraction = digits.allSatisfy { "0123456789_.eE+-".contains($0) } && digits.contains { ".eE".contains($0) }
        return isFraction ? .other("a fraction") : nil
    }

    /// `1979-05-27` or `07:32`, and what follows them.
    private static func isDate(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.count >= 5 && (bytes[2] == UInt8(ascii: ":") || bytes[4] == UInt8(ascii: "-"))
            && bytes.allSatisfy { (0x2b...0x3a).contains($0) || $0 == UInt8(ascii: "T") || $0 == UInt8(ascii: "Z") }
    }

    /// A string in either kind of quotes.
    private mutating func string() throws(ConfigurationText.Mistake) -> String {
        let start = offset
        if take("\"\"\"") || take("'''") {
            throw mistake(at: start, "expected a string on one line; write \\n for a new line in it")
        }
        let isLiteral = take("'")
        if !isLiteral { _ = take("\"") }
        var text: [UInt8] = []
        while let byte = next, byte != UInt8(ascii: "\n"), byte != UInt8(ascii: "\r") {
            if take(isLiteral ? "'" : "\"") { return String(decoding: text, as: UTF8.self) }
            if !isLiteral, byte == UInt8(ascii: "\\") {
                text += String(try escape()).utf8
            } else {
                text.append(byte)
                offset += 1
            }
        }
        throw mistake(at: start, "the string that begins here has no \(isLiteral ? "'" : "\"") at its end on this line")
    }

    private mutating func escape() throws(ConfigurationText.Mistake) -> Unicode.Scalar {
        let start = offset
        offset += 1
        let letter = next
        offset += 1
        switch letter.map(Unicode.Scalar.init) {
        case "b": return "\u{8}"
        case "t": return "\t"
        case "n": return "\n"
        case "f": return "\u{c}"
        case "r": return "\r"
        case "\"": return "\""
        case "\\": return "\\"
        case "u", "U":
            let count = letter == UInt8(ascii: "u") ? 4 : 8
            let digits = bytes[min(offset, bytes.count)...].prefix(count)
            guard digits.count == count, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
                let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16), value != 0,
                let scalar = Unicode.Scalar(value)
            else { throw mistake(at: start, "expected \(count) hexadecimal digits of a character") }
            offset += count
            return scalar
        default:
            throw mistake(at: start, "a backslash stands doubled, \\\\, or in a string in 'single quotes'")
        }
    }
}
