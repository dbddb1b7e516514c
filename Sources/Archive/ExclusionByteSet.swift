/// A set of bytes: a character class like `[a-z]`, `[!0-9]` or `[[:alpha:]_]`.
struct ByteSet: Sendable, Equatable {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    init() {}

    static func == (a: ByteSet, b: ByteSet) -> Bool { a.words == b.words }

    @inline(__always)
    func contains(_ byte: UInt8) -> Bool {
        let bit: UInt64 = 1 << UInt64(byte & 63)
        return switch byte >> 6 {
        case 0: words.0 & bit != 0
        case 1: words.1 & bit != 0
        case 2: words.2 & bit != 0
        default: words.3 & bit != 0
        }
    }

    mutating func insert(_ byte: UInt8) {
        let bit: UInt64 = 1 << UInt64(byte & 63)
        switch byte >> 6 {
        case 0: words.0 |= bit
        case 1: words.1 |= bit
        case 2: words.2 |= bit
        default: words.3 |= bit
        }
    }

    private mutating func invert() { words = (~words.0, ~words.1, ~words.2, ~words.3) }

    /// Reads a class whose `[` stands just before `index`, and moves past its `]`. Nil if it is not closed, or names a
    /// class that POSIX does not know.
    init?(class pattern: ArraySlice<UInt8>, _ index: inout Int) {
        func byte(at index: Int) -> UInt8? { index < pattern.endIndex ? pattern[index] : nil }
        let isInverted = byte(at: index) == UInt8(ascii: "!") || byte(at: index) == UInt8(ascii: "^")
        if isInverted { index += 1 }
        var isFirst = true
        while true {
            guard var low = byte(at: index) else { return nil }
            index += 1
            if low == UInt8(ascii: "]"), !isFirst { break }
            isFirst = false
            if low == UInt8(ascii: "["), byte(at: index) == UInt8(ascii: ":") {
                guard let close = pattern[(index + 1)...].firstIndex(of: UInt8(ascii: "]")) else { return nil }
                if pattern[close - 1] == UInt8(ascii: ":"), close - 1 > index {
                    guard let members = posixClass(pattern[(index + 1)..<(close - 1)]) else { return nil }
                    for byte in UInt8.min...UInt8.max where members(byte) { insert(byte) }
                    index = close + 1
                    continue
                }
            }
            if low == UInt8(ascii: "\\") {
                guard let escaped = byte(at: index) else { return nil }
                low = escaped
                index += 1
            }
            var high = low
            if byte(at: index) == UInt8(ascii: "-"), let end = byte(at: index + 1), end != UInt8(ascii: "]") {
                high = end
                index += 2
                if end == UInt8(ascii: "\\") {
                    guard let escaped = byte(at: index) else { return nil }
                    high = escaped
                    index += 1
                }
            }
            // A range that runs backwards holds its first byte alone.
            insert(low)
            if low <= high { for byte in low...high { insert(byte) } }
        }
        if isInverted { invert() }
    }
}

/// Which ASCII bytes a named class holds, e.g. `alpha`.
private func posixClass(_ name: ArraySlice<UInt8>) -> ((UInt8) -> Bool)? {
    func isUpper(_ byte: UInt8) -> Bool { byte >= 0x41 && byte <= 0x5a }
    func isLower(_ byte: UInt8) -> Bool { byte >= 0x61 && byte <= 0x7a }
    func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
    func isGraphic(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7f }
    return switch String(decoding: name, as: UTF8.self) {
    case "alpha": { isUpper($0) || isLower($0) }
    case "digit": isDigit
    case "alnum": { isUpper($0) || isLower($0) || isDigit($0) }
    case "upper": isUpper
    case "lower": isLower
    case "xdigit": { isDigit($0) || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x66) }
    case "space": { $0 == 0x20 || ($0 >= 0x09 && $0 <= 0x0d) }
    case "blank": { $0 == 0x20 || $0 == 0x09 }
    case "cntrl": { $0 < 0x20 || $0 == 0x7f }
    case "print": { $0 >= 0x20 && $0 < 0x7f }
    case "graph": isGraphic
    case "punct": { isGraphic($0) && !isUpper($0) && !isLower($0) && !isDigit($0) }
    default: nil
    }
}
