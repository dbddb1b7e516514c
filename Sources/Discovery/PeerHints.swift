package import BackupFormat

/// What a TXT record claims of a node. Nothing of it is proven.
package struct PeerHints: Sendable, Hashable {
    package let id: DeviceID
    package let protocolVersion: UInt8
    /// Nil where it is missing or not one that this version knows.
    package let role: Role?
    /// Nil where it is missing or no number.
    package let freeBytes: UInt64?

    /// From the strings of a TXT record; nil if they are too long, or `txtvers`, `id` or `proto` is missing or malformed.
    ///
    /// As in RFC 6763 (6.4): keys in any case, the first of equal keys counts, a string without a key or with an unknown one is
    /// passed over.
    package init?(text: [[UInt8]]) {
        guard text.reduce(0, { $0 + $1.count + 1 }) <= DiscoveryLimits.textBytesMax else { return nil }
        let values = firstValues(text)
        guard values["txtvers"] == Array("1".utf8),
            let digits = values["id"], digits.count == 64, let id = DeviceID(hex: String(decoding: digits, as: UTF8.self)),
            let version = number(values["proto"]), let protocolVersion = UInt8(exactly: version), protocolVersion > 0
        else { return nil }
        self.id = id
        self.protocolVersion = protocolVersion
        role = Role.allCases.first { Array($0.name.utf8) == values["role"] }
        freeBytes = number(values["free"]).flatMap { $0 <= UInt64.max >> 30 ? $0 << 30 : nil }
    }
}

/// The values of the keys that count, by key in lower case. A key without `=` has an empty value.
private func firstValues(_ text: [[UInt8]]) -> [String: [UInt8]] {
    var values: [String: [UInt8]] = [:]
    for string in text {
        let key = String(decoding: string.prefix { $0 != 0x3d }.prefix(16), as: UTF8.self).lowercased()
        guard ["txtvers", "id", "role", "free", "proto"].contains(key), values[key] == nil else { continue }
        values[key] = Array(string.drop { $0 != 0x3d }.dropFirst())
    }
    return values
}

/// Decimal digits and nothing else, as a number that fits.
private func number(_ digits: [UInt8]?) -> UInt64? {
    guard let digits, !digits.isEmpty, digits.count <= 20, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return UInt64(String(decoding: digits, as: UTF8.self))
}
