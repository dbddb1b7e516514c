package import BackupFormat

/// One line of `peers`: a node that is known or announced, and how things stand with it. Sizes are bytes, times seconds since 1970.
package struct PeerReport: Sendable, Hashable {
    package enum Trust: String, Sendable, Hashable {
        case own, friend, discovered, blocked
    }

    package var id: DeviceID
    package var name: String
    package var isOwn: Bool
    package var trust: Trust
    package var isOnline = false
    package var roles: [String] = []
    package var addresses: [String] = []
    /// Of its disk, as it says; nil while it is not connected.
    package var freeBytes: UInt64?
    /// What it stores for this node at most.
    package var offeredBytes: UInt64 = 0
    /// What it stores for this node now.
    package var usedBytes: UInt64 = 0
    package var packs: UInt64 = 0
    /// Of this node's snapshots, how many are there.
    package var snapshots = 0
    /// What this node keeps for it, and at most would; nil while it is not connected.
    package var keptBytes: UInt64?
    package var grantedBytes: UInt64?
    package var lastSeen: Int64?
    package var lastProven: Int64?
    package var fingerprint: String?
    package var isDamaged = false

    package init(id: DeviceID, name: String, isOwn: Bool, trust: Trust) {
        self.id = id
        self.name = name
        self.isOwn = isOwn
        self.trust = trust
    }

    package var json: JSON {
        func time(_ seconds: Int64?) -> JSON {
            seconds.map { .string(timestampText($0 &* 1_000_000_000)) } ?? .null
        }
        func bytes(_ count: UInt64?) -> JSON { count.map { .int(Int(clamping: $0)) } ?? .null }
        return .object([
            "id": .string(id.hex), "name": .string(name), "owner_is_me": .bool(isOwn), "trust": .string(trust.rawValue),
            "online": .bool(isOnline), "roles": .array(roles.map { .string($0) }),
            "addresses": .array(addresses.map { .string($0) }), "free_bytes": bytes(freeBytes),
            "offered_bytes": bytes(offeredBytes), "used_bytes": bytes(usedBytes), "packs": bytes(packs),
            "snapshots": .int(snapshots), "kept_bytes": bytes(keptBytes), "granted_bytes": bytes(grantedBytes),
            "last_seen": time(lastSeen), "last_proven": time(lastProven), "damaged": .bool(isDamaged),
            "fingerprint": fingerprint.map { .string($0) } ?? .null,
        ])
    }
}

// MARK: Over the control socket

extension PeerReport {
    private static let reportsMax = 1 << 16
    private static let textBytesMax = 1 << 10

    package static func encode(_ reports: [PeerReport]) -> [UInt8] {
        var writer = ByteWriter()
        writer.count(reports.count)
        for report in reports { report.write(to: &writer) }
        return writer.bytes
    }

    package static func decode(_ bytes: [UInt8]) throws(FormatError) -> [PeerReport] {
        let result = bytes.withUnsafeBytes { buffer in
            Result { () throws(FormatError) in
                var reader = ByteReader(buffer, "list of peers")
                var reports: [PeerReport] = []
                for _ in 0..<(try reader.count(limit: reportsMax)) { reports.append(try PeerReport(&reader)) }
                try reader.end()
                return reports
            }
        }
        return try result.get()
    }

    private func write(to writer: inout ByteWriter) {
        func optional(_ value: UInt64?) {
            writer.byte(value == nil ? 0 : 1)
            writer.varint(value ?? 0)
        }
        writer.bytes32(id.value)
        for text in [name, trust.rawValue, fingerprint ?? ""] { writer.byteString(Array(text.utf8)) }
        for flag in [isOwn, isOnline, isDamaged] { writer.byte(flag ? 1 : 0) }
        for list in [roles, addresses] {
            writer.count(list.count)
            for text in list { writer.byteString(Array(text.utf8)) }
        }
        for number in [offeredBytes, usedBytes, packs, UInt64(snapshots)] { writer.varint(number) }
        for number in [freeBytes, keptBytes, grantedBytes] { optional(number) }
        for time in [lastSeen, lastProven] { optional(time.map { UInt64(clamping: $0) }) }
    }

    private init(_ reader: inout ByteReader) throws(FormatError) {
        func text(_ reader: inout ByteReader) throws(FormatError) -> String {
            String(decoding: try reader.byteString(limit: PeerReport.textBytesMax), as: UTF8.self)
        }
        func texts(_ reader: inout ByteReader) throws(FormatError) -> [String] {
            var list: [String] = []
            for _ in 0..<(try reader.count(limit: 1 << 10)) { list.append(try text(&reader)) }
            return list
        }
        func optional(_ reader: inout ByteReader) throws(FormatError) -> UInt64? {
            let isThere = try reader.byte() != 0
            let value = try reader.varint()
            return isThere ? value : nil
        }
        id = DeviceID(try reader.bytes32())
        name = try text(&reader)
        guard let trust = Trust(rawValue: try text(&reader)) else { throw reader.error(.unknown) }
        self.trust = trust
        let shown = try text(&reader)
        fingerprint = shown.isEmpty ? nil : shown
        isOwn = try reader.byte() != 0
        isOnline = try reader.byte() != 0
        isDamaged = try reader.byte() != 0
        roles = try texts(&reader)
        addresses = try texts(&reader)
        offeredBytes = try reader.varint()
        usedBytes = try reader.varint()
        packs = try reader.varint()
        snapshots = Int(clamping: try reader.varint())
        freeBytes = try optional(&reader)
        keptBytes = try optional(&reader)
        grantedBytes = try optional(&reader)
        lastSeen = try optional(&reader).map { Int64(clamping: $0) }
        lastProven = try optional(&reader).map { Int64(clamping: $0) }
    }
}
