/// The owner key as text to write down: `bakare-key1-` and 14 groups of five characters joined by hyphens.
///
/// Characters stand for five bits each, as in ``Base32``. Groups 1 to 13 carry the key's 256 bits, four
/// characters a group (the last four bits are zero); group 14 carries the first 20 bits of a hash of the key. A group's fifth
/// character is a check over GF(32), x^5 + x^2 + 1: the sum of its characters times α^4, α^3, α^2 and α, plus its number.
/// All five weights differ, so that any one wrong character and any two exchanged within a group are found; the number
/// tells a group that stands where another belongs.
package enum RecoveryKeyText {
    package static let prefix = "bakare-key1"
    package static let groupCount = 14
    package static let groupCharacters = 5

    /// `checksum` holds the first 20 bits of the key's hash.
    package static func encode(_ key: Bytes32, checksum: UInt32) -> String {
        var text = prefix
        for (index, data) in dataSymbols(key, checksum).enumerated() {
            text += "-"
            for symbol in data + [check(data, group: index)] {
                text.unicodeScalars.append(Unicode.Scalar(Base32.alphabet[Int(symbol)]))
            }
        }
        return text
    }

    /// The four data symbols of each group.
    private static func dataSymbols(_ key: Bytes32, _ checksum: UInt32) -> [[UInt8]] {
        var symbols: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount = 0
        for byte in key.bytes {
            bits = bits << 8 | UInt32(byte)
            bitCount += 8
            while bitCount >= 5 {
                bitCount -= 5
                symbols.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)) & 31)
            }
        }
        // 256 bits are 51 symbols and one bit: four zero bits fill the 52nd.
        symbols.append(UInt8(truncatingIfNeeded: bits << 4) & 31)
        for shift in [15, 10, 5, 0] as [UInt32] { symbols.append(UInt8(truncatingIfNeeded: checksum >> shift) & 31) }
        return (0..<groupCount).map { Array(symbols[$0 * 4..<$0 * 4 + 4]) }
    }

    /// The check symbol of four data symbols as group `group`, counted from 0.
    private static func check(_ data: [UInt8], group: Int) -> UInt8 {
        // Horner: ((((d0·α + d1)·α + d2)·α + d3)·α.
        data.reduce(0) { timesAlpha($0 ^ $1) } ^ UInt8(group + 1)
    }

    private static func timesAlpha(_ value: UInt8) -> UInt8 {
        let doubled = value << 1
        return doubled & 32 == 0 ? doubled : doubled ^ 0b100101
    }

    /// The key that `text` stands for; `checksum` computes the first 20 bits of a key's hash.
    ///
    /// Takes either case, O for 0, I or L for 1, and any spaces, line breaks and hyphens or none.
    package static func decode(
        _ text: String, checksum: (Bytes32) -> UInt32
    ) throws(RecoveryKeyError) -> Bytes32 {
        let groups = try RecoveryKeyError.split(text)
        try verify(groups)
        var symbols: [UInt8] = []
        for group in groups { symbols += group.prefix(4).compactMap(Base32.value) }
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount = 0
        for symbol in symbols.prefix(52) {
            bits = bits << 5 | UInt32(symbol)
            bitCount += 5
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
            }
        }
        guard let key = Bytes32(bytes: bytes), bits & 15 == 0 else { throw .checksum }
        guard symbols.suffix(4).reduce(0, { $0 << 5 | UInt32($1) }) == checksum(key) else { throw .checksum }
        return key
    }

    /// Which group, counted from 0, the five characters would be valid as; nil when none.
    static func place(of group: [Unicode.Scalar]) -> Int? {
        let symbols = group.compactMap(Base32.value)
        guard symbols.count == groupCharacters else { return nil }
        let place = Int(check(Array(symbols.prefix(4)), group: -1) ^ symbols[4]) - 1
        return (0..<groupCount).contains(place) ? place : nil
    }

    private static func verify(_ groups: [[Unicode.Scalar]]) throws(RecoveryKeyError) {
        let wrong = groups.indices.filter { place(of: groups[$0]) != $0 }
        if wrong.isEmpty { return }
        let parts = wrong.map { RecoveryKeyError.Group(number: $0 + 1, characters: groups[$0]) }
        // A lone wrong group never lands here as moved: its place would have to be its own.
        let places = wrong.compactMap { place(of: groups[$0]) }
        if places.count == wrong.count, Set(places) == Set(wrong) {
            throw .outOfOrder(zip(parts, places).map { RecoveryKeyError.Move(group: $0, belongs: $1 + 1) })
        }
        throw .mistyped(parts)
    }
}
