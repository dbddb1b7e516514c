/// Bytes as text that people read out and mail programs leave alone: five bits a character, highest first.
///
/// The 32 characters are 0–9 and A–Z without I, L, O, U. A reader takes either case, O for 0 and I or L for 1.
package enum Base32 {
    static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

    package static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count * 8 + 4) / 5)
        var bits: UInt32 = 0
        var bitCount: UInt32 = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            bitCount += 8
            while bitCount >= 5 {
                bitCount -= 5
                text.append(alphabet[Int(bits >> bitCount & 31)])
            }
        }
        if bitCount > 0 { text.append(alphabet[Int(bits << (5 - bitCount) & 31)]) }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes that `text` stands for, or nil: for a character of another kind, a count of characters that no bytes have, and bits
    /// that are left over and not zero.
    package static func decode(_ text: some Sequence<Unicode.Scalar>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount: UInt32 = 0
        for character in text {
            guard let value = value(of: character) else { return nil }
            bits = bits << 5 | UInt32(value)
            bitCount += 5
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> bitCount))
            }
        }
        guard bitCount < 5, bits & ((1 << bitCount) - 1) == 0 else { return nil }
        return bytes
    }

    /// What a character stands for, 0 to 31; nil for others.
    package static func value(of character: Unicode.Scalar) -> UInt8? {
        guard let ascii = UInt8(exactly: character.value) else { return nil }
        let upper = (0x61...0x7a).contains(ascii) ? ascii - 32 : ascii
        let read: UInt8 =
            switch Unicode.Scalar(upper) {
            case "O": 0x30
            case "I", "L": 0x31
            default: upper
            }
        return alphabet.firstIndex(of: read).map { UInt8($0) }
    }
}
