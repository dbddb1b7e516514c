internal import Glibc

/// A path, or one component of one, as the bytes that Linux gave: any bytes but NUL, in no particular encoding.
package struct RawPath: Hashable, Sendable, Comparable, CustomStringConvertible, ExpressibleByStringLiteral {
    package var bytes: [UInt8]

    package init(bytes: [UInt8]) { self.bytes = bytes }
    package init(_ text: String) { bytes = Array(text.utf8) }
    package init(stringLiteral value: String) { bytes = Array(value.utf8) }

    /// All bytes at once: the way of an array, one after the other, takes several times as long.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(bytes.count)
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }

    /// This path, a slash (unless it ends in one), and `name`.
    package func appending(_ name: RawPath) -> RawPath {
        if bytes.isEmpty { return name }
        return RawPath(bytes: bytes.last == 0x2f ? bytes + name.bytes : bytes + [0x2f] + name.bytes)
    }

    package func appending(_ name: String) -> RawPath { appending(RawPath(name)) }

    /// The non-empty components between slashes.
    package var components: [RawPath] { bytes.split(separator: 0x2f).map { RawPath(bytes: Array($0)) } }

    /// All bytes at once, as for ``hash(into:)``.
    package static func == (a: RawPath, b: RawPath) -> Bool {
        a.bytes.count == b.bytes.count && a.compared(with: b, upTo: a.bytes.count) == 0
    }

    /// Byte order, as trees are sorted.
    package static func < (a: RawPath, b: RawPath) -> Bool {
        let order = a.compared(with: b, upTo: min(a.bytes.count, b.bytes.count))
        return order == 0 ? a.bytes.count < b.bytes.count : order < 0
    }

    /// Both have that many bytes.
    private func compared(with other: RawPath, upTo count: Int) -> Int32 {
        bytes.withUnsafeBytes { mine in
            other.bytes.withUnsafeBytes { theirs in
                guard let a = mine.baseAddress, let b = theirs.baseAddress else { return 0 }
                return memcmp(a, b, count)
            }
        }
    }

    /// For people and logs: valid UTF-8 as it is; control characters and bytes that are not UTF-8 as `\xNN`, a backslash as `\\`.
    package var description: String {
        var text = ""
        var rest = bytes[...]
        while !rest.isEmpty {
            var decoder = UTF8()
            var iterator = rest.makeIterator()
            if case .scalarValue(let scalar) = decoder.decode(&iterator), !scalar.isUnsafeToShow {
                if scalar == "\\" { text += "\\\\" } else { text.unicodeScalars.append(scalar) }
                rest = rest.dropFirst(UTF8.width(scalar))
            } else {
                text += "\\x" + hexadecimal(rest.prefix(1))
                rest = rest.dropFirst(1)
            }
        }
        return text
    }
}

extension Unicode.Scalar {
    /// Whether it could move the cursor, hide text or reverse its direction on a terminal.
    package var isUnsafeToShow: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: true
        default: false
        }
    }
}
