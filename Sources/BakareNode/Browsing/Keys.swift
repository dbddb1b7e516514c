/// What was typed.
enum Key: Equatable {
    case text([UInt8])
    case enter
    case leave
    case up
    case down
    case pageUp
    case pageDown
    case deleteLetter
    case deleteWord
    case deleteAll
}

/// Makes keys of the bytes that a terminal sends. A sequence may come in parts: `bytes` keeps what is not whole.
struct KeyReader {
    private var bytes: [UInt8] = []

    mutating func add(_ more: [UInt8]) { bytes += more }

    /// A single escape byte is the key of that name only when nothing follows it.
    var mayGoOn: Bool { bytes.first == 0x1b }

    /// The next key; nil when there is none, or none that is whole. `isComplete`: nothing more is on its way.
    mutating func next(isComplete: Bool) -> Key? {
        while let first = bytes.first {
            switch first {
            case 0x1b:
                guard bytes.count > 1 else {
                    guard isComplete else { return nil }
                    bytes.removeFirst()
                    return .leave
                }
                guard let (key, count) = sequence() else {
                    if !isComplete { return nil }
                    bytes.removeAll()
                    continue
                }
                bytes.removeFirst(count)
                if let key { return key }
            case 0x03, 0x04, 0x07: return take(.leave)
            case 0x0d, 0x0a: return take(.enter)
            case 0x10, 0x0b: return take(.up)
            case 0x0e: return take(.down)
            case 0x7f, 0x08: return take(.deleteLetter)
            case 0x17: return take(.deleteWord)
            case 0x15: return take(.deleteAll)
            case ..<0x20: bytes.removeFirst()
            default:
                let text = Array(bytes.prefix { $0 >= 0x20 && $0 != 0x7f })
                bytes.removeFirst(text.count)
                return .text(text)
            }
        }
        return nil
    }

    private mutating func take(_ key: Key) -> Key {
        bytes.removeFirst()
        return key
    }

    /// What an escape sequence means, and its length; nil while its end is missing.
    private func sequence() -> (key: Key?, count: Int)? {
        // ESC and a letter that is no introducer: Alt with a key.
        guard bytes[1] == 0x5b || bytes[1] == 0x4f else { return (nil, 2) }
        guard let end = bytes.dropFirst(2).firstIndex(where: { (0x40...0x7e).contains($0) }) else { return nil }
        let key: Key? =
            switch (bytes[end], bytes[2]) {
            case (0x41, _): .up
            case (0x42, _): .down
            case (0x7e, 0x35): .pageUp
            case (0x7e, 0x36): .pageDown
            default: nil
            }
        return (key, end + 1)
    }
}
