package import BackupFormat

/// What a node tells everyone on its network of itself.
package struct Announcement: Sendable, Hashable {
    package let id: DeviceID
    /// Where it listens (TCP); 0 for one that only looks for others, and is not announced.
    package var port: UInt16
    package var role: Role
    /// Free for others; announced rounded down to a power of two of GiB.
    package var freeBytes: UInt64
    /// For people. Where another service has the same name, a number is added to one of them.
    package var name: String
    /// The version of the peer protocol that it speaks.
    package var protocolVersion: UInt8

    package init(id: DeviceID, port: UInt16, role: Role, freeBytes: UInt64, name: String, protocolVersion: UInt8 = 1) {
        self.id = id
        self.port = port
        self.role = role
        self.freeBytes = freeBytes
        self.name = name
        self.protocolVersion = protocolVersion
    }

    /// The strings of its TXT record, `txtvers` first as RFC 6763 (6.7) wants it.
    package var text: [String] {
        [
            "txtvers=1", "id=\(id.hex)", "role=\(role.name)", "free=\(roundedGibibytes(freeBytes))",
            "proto=\(protocolVersion)",
        ]
    }

    /// The name as a label of DNS: no control characters, 63 bytes at most, never empty.
    package var label: String {
        let label = readableName(Array(name.utf8))
        return label.isEmpty ? "bakare" : label
    }

    /// The label with the beginning of the node's id: hardly anyone else's.
    package var uniqueLabel: String {
        let number = " \(id.hex.prefix(8))"
        return readableName(Array(label.utf8), bytesMax: DiscoveryLimits.nameBytesMax - number.utf8.count) + number
    }
}

/// GiB, rounded down to a power of two: enough to choose whom to ask, and no record of a disk's filling up.
package func roundedGibibytes(_ bytes: UInt64) -> UInt64 {
    let gibibytes = bytes >> 30
    return gibibytes == 0 ? 0 : 1 << UInt64(63 - gibibytes.leadingZeroBitCount)
}

/// The first 63 bytes of a name as text, in whole characters. What could act on a terminal, or is not UTF-8, becomes U+FFFD.
package func readableName(_ bytes: [UInt8], bytesMax: Int = DiscoveryLimits.nameBytesMax) -> String {
    var result = ""
    for scalar in String(decoding: bytes.prefix(4 * DiscoveryLimits.nameBytesMax), as: UTF8.self).unicodeScalars {
        let isReadable =
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: false
            default: true
            }
        let shown: Unicode.Scalar = isReadable ? scalar : "\u{fffd}"
        guard result.utf8.count + UTF8.width(shown) <= bytesMax else { break }
        result.unicodeScalars.append(shown)
    }
    return result
}
