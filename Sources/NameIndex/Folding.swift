internal import Glibc

// How names and queries are made comparable: Latin letters without their marks, and, in the lowered form, without case. Both forms have
// the same length, never more than the original, and a byte that is not part of UTF-8 stands for itself.

/// Appends the folded forms of `source` at `start` of both outputs, which must have room for as many bytes; answers the new length.
///
/// `each` is told, after each character, how many bytes of the source were used up and how long the outputs are.
@inline(__always)
func fold(
    _ source: UnsafeRawBufferPointer, kept: UnsafeMutablePointer<UInt8>, lowered: UnsafeMutablePointer<UInt8>, at start: Int,
    each: (Int, Int) -> Void
) -> Int {
    var position = start
    var index = 0
    func put(_ byte: UInt8, _ low: UInt8) {
        kept[position] = byte
        lowered[position] = low
        position &+= 1
    }
    while index < source.count {
        let lead = source[index]
        var used = 1
        if lead < 0x80 {
            put(lead, loweredByte(lead))
        } else if let (scalar, width) = decodeScalar(source, at: index) {
            used = width
            if let base = baseLetters(scalar) {
                put(base.first, loweredByte(base.first))
                if base.second != 0x20 { put(base.second, loweredByte(base.second)) }
            } else if !isCombining(scalar) {
                let low = width == 2 ? loweredScalar(scalar) : scalar
                if width == 2, low < 0x800 {
                    put(lead, UInt8(truncatingIfNeeded: 0xc0 | low >> 6))
                    put(source[index &+ 1], UInt8(truncatingIfNeeded: 0x80 | low & 0x3f))
                } else {
                    for byte in source[index..<index &+ width] { put(byte, byte) }
                }
            }
        } else {
            put(lead, lead)
        }
        index &+= used
        each(index, position)
    }
    return position
}

/// The folded forms of a whole text.
func folded(_ text: [UInt8]) -> (kept: [UInt8], lowered: [UInt8]) {
    var kept = [UInt8](repeating: 0, count: text.count + 1)
    var lowered = kept
    let count = text.withUnsafeBytes { text in
        kept.withUnsafeMutableBufferPointer { kept in
            lowered.withUnsafeMutableBufferPointer { lowered -> Int in
                guard let first = kept.baseAddress, let second = lowered.baseAddress else { return 0 }
                return fold(text, kept: first, lowered: second, at: 0) { _, _ in }
            }
        }
    }
    return (Array(kept[..<count]), Array(lowered[..<count]))
}

@inline(__always)
func loweredByte(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

/// The scalar of two or three bytes at `index`; nil for anything else.
private func decodeScalar(_ bytes: UnsafeRawBufferPointer, at index: Int) -> (UInt32, Int)? {
    let lead = UInt32(bytes[index])
    func next(_ offset: Int) -> UInt32? {
        guard index + offset < bytes.count, bytes[index + offset] & 0xc0 == 0x80 else { return nil }
        return UInt32(bytes[index + offset] & 0x3f)
    }
    switch lead {
    case 0xc2...0xdf:
        guard let second = next(1) else { return nil }
        return ((lead & 0x1f) << 6 | second, 2)
    case 0xe0...0xef:
        guard let second = next(1), let third = next(2) else { return nil }
        let scalar = (lead & 0x0f) << 12 | second << 6 | third
        return scalar < 0x800 ? nil : (scalar, 3)
    default: return nil
    }
}

private func baseLetters(_ scalar: UInt32) -> (first: UInt8, second: UInt8)? {
    let start: UnsafePointer<UInt8>
    switch scalar {
    case 0xc0...0x24f: start = latinBaseLetters.utf8Start + Int(scalar - 0xc0) * 2
    case 0x1e00...0x1eff: start = latinAdditionalBaseLetters.utf8Start + Int(scalar - 0x1e00) * 2
    default: return nil
    }
    return start[0] == 0x20 ? nil : (start[0], start[1])
}

private func isCombining(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x300...0x36f, 0x1ab0...0x1aff, 0x1dc0...0x1dff, 0x20d0...0x20ff: true
    default: false
    }
}

/// Greek and Cyrillic without case; all that stay two bytes long.
private func loweredScalar(_ scalar: UInt32) -> UInt32 {
    switch scalar {
    case 0x391...0x3a9, 0x410...0x42f: scalar + 0x20
    case 0x400...0x40f: scalar + 0x50
    default: scalar
    }
}
