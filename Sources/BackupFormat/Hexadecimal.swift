/// The bytes as lower-case hexadecimal digits.
package func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.withContiguousStorageIfAvailable { hexadecimal($0) }
        ?? Array(bytes).withUnsafeBufferPointer { hexadecimal($0) }
}

private func hexadecimal(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
    func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x61 + value - 10 }
    return String(unsafeUninitializedCapacity: 2 * bytes.count) { text in
        for (index, byte) in bytes.enumerated() {
            text[2 * index] = digit(byte >> 4)
            text[2 * index + 1] = digit(byte & 15)
        }
        return 2 * bytes.count
    }
}

/// The bytes that an even number of hexadecimal digits stand for, or nil for anything else.
package func hexadecimalBytes(_ text: String) -> [UInt8]? {
    var text = text
    return text.withUTF8 { digits -> [UInt8]? in
        guard digits.count % 2 == 0 else { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(digits.count / 2)
        for pair in stride(from: 0, to: digits.count, by: 2) {
            guard let high = hexadecimalDigit(digits[pair]), let low = hexadecimalDigit(digits[pair + 1]) else { return nil }
            result.append(high << 4 | low)
        }
        return result
    }
}

extension Bytes32 {
    /// From 64 hexadecimal digits, or nil.
    package init?(hex: String) {
        var text = hex
        guard let value = text.withUTF8({ Bytes32(hexadecimalDigits: $0) }) else { return nil }
        self = value
    }

    /// The same of a name.
    package init?(hex: RawPath) {
        guard let value = hex.bytes.withUnsafeBufferPointer({ Bytes32(hexadecimalDigits: $0) }) else { return nil }
        self = value
    }

    private init?(hexadecimalDigits digits: UnsafeBufferPointer<UInt8>) {
        guard digits.count == 2 * Bytes32.count else { return nil }
        func word(_ index: Int) -> UInt64? {
            var word: UInt64 = 0
            for digit in digits[16 * index..<16 * index + 16] {
                guard let value = hexadecimalDigit(digit) else { return nil }
                word = word << 4 | UInt64(value)
            }
            return word
        }
        guard let a = word(0), let b = word(1), let c = word(2), let d = word(3) else { return nil }
        self.init(words: (a, b, c, d))
    }
}

private func hexadecimalDigit(_ character: UInt8) -> UInt8? {
    switch character {
    case 0x30...0x39: character - 0x30
    case 0x61...0x66: character - 0x61 + 10
    case 0x41...0x46: character - 0x41 + 10
    default: nil
    }
}
