package import BackupFormat

/// A JSON value; an object keeps its keys in order.
package enum JSON: Sendable {
    case null
    case bool(Bool)
    case int(Int)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([(key: String, value: JSON)])

    /// An object, by pairs in order.
    package static func object(_ pairs: KeyValuePairs<String, JSON>) -> JSON {
        .object(pairs.map { (key: $0.key, value: $0.value) })
    }

    /// On one line, without spaces but one after each comma and colon.
    package var text: String {
        var bytes: [UInt8] = []
        append(to: &bytes, indent: nil)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// On as many lines as there are members, for reading.
    package var prettyText: String {
        var bytes: [UInt8] = []
        append(to: &bytes, indent: 0)
        return String(decoding: bytes, as: UTF8.self)
    }

    private func append(to bytes: inout [UInt8], indent: Int?) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .int(let value): bytes += String(value).utf8
        // JSON has no infinity.
        case .number(let value): bytes += (value.isFinite ? "\(value)" : "null").utf8
        case .string(let text): Self.append(text, to: &bytes)
        case .array(let elements):
            Self.append(elements, between: "[]", to: &bytes, indent: indent) { element, bytes, indent in
                element.append(to: &bytes, indent: indent)
            }
        case .object(let members):
            Self.append(members, between: "{}", to: &bytes, indent: indent) { member, bytes, indent in
                Self.append(member.key, to: &bytes)
                bytes += ": ".utf8
                member.value.append(to: &bytes, indent: indent)
            }
        }
    }

    private static func append<Element>(
        _ elements: [Element], between brackets: StaticString, to bytes: inout [UInt8], indent: Int?,
        each: (Element, inout [UInt8], Int?) -> Void
    ) {
        bytes.append(brackets.utf8Start[0])
        for (index, element) in elements.enumerated() {
            if index > 0 { bytes += (indent == nil ? ", " : ",").utf8 }
            if let indent { bytes += "\n".utf8 + Array(repeating: UInt8(ascii: " "), count: indent + 2) }
            each(element, &bytes, indent.map { $0 + 2 })
        }
        if let indent, !elements.isEmpty { bytes += "\n".utf8 + Array(repeating: UInt8(ascii: " "), count: indent) }
        bytes.append(brackets.utf8Start[1])
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes += "\\\"".utf8
            case UInt8(ascii: "\\"): bytes += "\\\\".utf8
            case UInt8(ascii: "\n"): bytes += "\\n".utf8
            case UInt8(ascii: "\r"): bytes += "\\r".utf8
            case UInt8(ascii: "\t"): bytes += "\\t".utf8
            case 0..<0x20, 0x7f: bytes += "\\u00\(hexadecimal([byte]))".utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

/// The members that stand for a path: `key` holds it as it is where it is UTF-8. Where it is not, `key` holds it with other
/// bytes as `\xNN`, and `key_base64` the exact bytes.
package func pathMembers(_ path: RawPath, key: String = "path") -> [(key: String, value: JSON)] {
    if let text = path.exactText { return [(key, .string(text))] }
    return [(key, .string(path.description)), (key + "_base64", .string(base64(path.bytes)))]
}

/// The members that stand for a list of paths: a second list, `key_base64`, stands beside if any is not UTF-8.
package func pathsMembers(_ paths: [RawPath], key: String = "paths") -> [(key: String, value: JSON)] {
    let texts = JSON.array(paths.map { .string($0.exactText ?? $0.description) })
    if paths.allSatisfy({ $0.exactText != nil }) { return [(key, texts)] }
    return [(key, texts), (key + "_base64", .array(paths.map { .string(base64($0.bytes)) }))]
}

extension RawPath {
    /// The path as text, or nil if it is not UTF-8.
    package var exactText: String? { String(validating: bytes, as: UTF8.self) }
}

/// RFC 4648, with padding.
package func base64(_ bytes: [UInt8]) -> String {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = (0..<3).map { start + $0 < bytes.count ? UInt32(bytes[start + $0]) : 0 }
        let bits = group[0] << 16 | group[1] << 8 | group[2]
        let used = min(3, bytes.count - start) + 1
        for place in 0..<4 {
            text.append(place < used ? digits[Int(bits >> UInt32(18 - 6 * place) & 63)] : UInt8(ascii: "="))
        }
    }
    return String(decoding: text, as: UTF8.self)
}
