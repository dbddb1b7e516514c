/// The fixed part of an encoded tree entry, decoded in place without allocating: what a backup compares for each file.
///
/// Valid only as long as the bytes that it was parsed from.
package struct TreeEntryView {
    package let name: UnsafeRawBufferPointer
    package let type: EntryType
    package let marks: EntryMarks
    package let mode: UInt16
    package let uid: UInt32
    package let gid: UInt32
    package let modified: Timestamp
    package let changed: Timestamp
    package let inode: UInt64
    package let device: UInt64
    package let linkCount: UInt32
    package let size: UInt64
    package let deviceNumber: UInt64
    /// The whole entry with its length prefix, as it stands in the stream.
    package let encoded: UnsafeRawBufferPointer
    private let flags: UInt8
    private let rest: UnsafeRawBufferPointer

    fileprivate static let hasStored: UInt8 = 1
    fileprivate static let hasInline: UInt8 = 2
    fileprivate static let hasAttributes: UInt8 = 4
    fileprivate static let hasExtents: UInt8 = 8
    fileprivate static let isLinked: UInt8 = 16
    fileprivate static let hasDeviceNumber: UInt8 = 32

    /// Parses the entry at the reader's position.
    package init(parsing reader: inout ByteReader) throws(FormatError) {
        let length = try reader.count(limit: Limits.treeEntryBytesMax)
        let body = try reader.bytes(length)
        let prefix = varintBytes(UInt64(length))
        // `body` has at least its length prefix in front of it in the same buffer.
        encoded = UnsafeRawBufferPointer(start: body.baseAddress.map { $0 - prefix }, count: length + prefix)
        var fields = ByteReader(body, "tree entry")
        let kind = try fields.byte()
        guard let type = EntryType(rawValue: kind & 0x0f), kind >> 4 <= EntryMarks.all.rawValue else {
            throw fields.error(.unknown)
        }
        self.type = type
        marks = EntryMarks(rawValue: kind >> 4)
        flags = try fields.byte()
        guard flags < 64, flags & 3 != 3 else { throw fields.error(.unknown) }
        let nameLength = try fields.count(limit: Limits.nameBytesMax)
        name = try fields.bytes(nameLength)
        guard nameLength > 0, isValidName(name) else { throw fields.error(.inconsistent) }
        mode = UInt16(try fields.count(limit: 0o7777))
        uid = UInt32(try fields.count(limit: Int(UInt32.max)))
        gid = UInt32(try fields.count(limit: Int(UInt32.max)))
        let seconds = try fields.signedVarint()
        modified = Timestamp(seconds: seconds, nanoseconds: UInt32(try fields.count(limit: 999_999_999)))
        let changedAfter = try fields.signedVarint()
        changed = Timestamp(seconds: seconds &+ changedAfter, nanoseconds: UInt32(try fields.count(limit: 999_999_999)))
        inode = try fields.varint()
        device = try fields.varint()
        linkCount = flags & TreeEntryView.isLinked != 0 ? UInt32(try fields.count(limit: Int(UInt32.max))) : 1
        size = UInt64(try fields.count(limit: Int.max))
        deviceNumber = flags & TreeEntryView.hasDeviceNumber != 0 ? try fields.varint() : 0
        // A field that says what its absence says would give one entry two encodings.
        guard flags & TreeEntryView.isLinked == 0 || linkCount != 1,
            flags & TreeEntryView.hasDeviceNumber == 0 || deviceNumber != 0
        else { throw fields.error(.inconsistent) }
        rest = try fields.bytes(fields.remaining)
    }

    /// The whole entry, with content, attributes and extents.
    package func entry() throws(FormatError) -> TreeEntry {
        var entry = TreeEntry(
            name: RawPath(bytes: Array(name)), type: type, mode: mode, uid: uid, gid: gid, modified: modified, changed: changed,
            inode: inode, device: device, linkCount: linkCount, size: size, content: .none)
        entry.marks = marks
        entry.deviceNumber = deviceNumber
        var reader = ByteReader(rest, "tree entry")
        if flags & TreeEntryView.hasStored != 0 {
            entry.content = .stored(try KeyList(decoding: &reader))
        } else if flags & TreeEntryView.hasInline != 0 {
            entry.content = .inline(try reader.byteString(limit: Limits.linkTargetBytesMax))
        }
        if flags & TreeEntryView.hasAttributes != 0 { entry.attributes = try decodeAttributes(&reader) }
        if flags & TreeEntryView.hasExtents != 0 { entry.extents = try decodeExtents(&reader, size: size) }
        try reader.end()
        return entry
    }

    /// Only the stored content's keys, or nil if the entry has none.
    package func storedKeys() throws(FormatError) -> KeyList? {
        guard flags & TreeEntryView.hasStored != 0 else { return nil }
        var reader = ByteReader(rest, "tree entry")
        return try KeyList(decoding: &reader)
    }
}

/// Neither empty, `.` nor `..`, and without NUL or slash: so that a name from a tree can never lead out of its folder.
package func isValidName(_ name: UnsafeRawBufferPointer) -> Bool {
    if name.isEmpty || name.count > Limits.nameBytesMax { return false }
    if name[0] == 0x2e && (name.count == 1 || (name.count == 2 && name[1] == 0x2e)) { return false }
    for byte in name where byte == 0 || byte == 0x2f { return false }
    return true
}

package func varintBytes(_ value: UInt64) -> Int {
    max(1, (64 - value.leadingZeroBitCount + 6) / 7)
}

extension TreeEntry {
    /// Appends the entry, with its length in front, as docs/FORMAT.md lays it out.
    package func encode(into writer: inout ByteWriter) {
        var body = ByteWriter(capacity: 96 + name.bytes.count)
        body.byte(type.rawValue | marks.rawValue << 4)
        var flags: UInt8 = 0
        switch content {
        case .none: break
        case .inline: flags |= TreeEntryView.hasInline
        case .stored: flags |= TreeEntryView.hasStored
        }
        if !attributes.isEmpty { flags |= TreeEntryView.hasAttributes }
        if extents != nil { flags |= TreeEntryView.hasExtents }
        if linkCount != 1 { flags |= TreeEntryView.isLinked }
        if deviceNumber != 0 { flags |= TreeEntryView.hasDeviceNumber }
        body.byte(flags)
        body.byteString(name.bytes)
        body.varint(UInt64(mode))
        body.varint(UInt64(uid))
        body.varint(UInt64(gid))
        body.signedVarint(modified.seconds)
        body.varint(UInt64(modified.nanoseconds))
        body.signedVarint(changed.seconds &- modified.seconds)
        body.varint(UInt64(changed.nanoseconds))
        body.varint(inode)
        body.varint(device)
        if linkCount != 1 { body.varint(UInt64(linkCount)) }
        body.varint(size)
        if deviceNumber != 0 { body.varint(deviceNumber) }
        switch content {
        case .none: break
        case .inline(let bytes): body.byteString(bytes)
        case .stored(let keys): keys.encode(into: &body)
        }
        if !attributes.isEmpty { encodeAttributes(attributes, into: &body) }
        if let extents { encodeExtents(extents, into: &body) }
        writer.count(body.count)
        writer.raw(body.bytes)
    }
}

extension KeyList {
    package func encode(into writer: inout ByteWriter) {
        writer.byte(levels)
        writer.count(keys.count)
        for key in keys { writer.bytes32(key.value) }
    }

    package init(decoding reader: inout ByteReader) throws(FormatError) {
        let levels = try reader.byte()
        guard levels <= Limits.keyListLevelsMax else { throw reader.error(.outOfRange) }
        let count = try reader.count(limit: Limits.directKeysMax)
        guard reader.remaining >= count * Bytes32.count else { throw reader.error(.truncated) }
        var keys: [ChunkKey] = []
        keys.reserveCapacity(count)
        for _ in 0..<count { keys.append(ChunkKey(try reader.bytes32())) }
        self.init(levels: levels, keys: keys)
    }
}

private func encodeAttributes(_ attributes: [ExtendedAttribute], into writer: inout ByteWriter) {
    writer.count(attributes.count)
    for attribute in attributes {
        writer.byteString(attribute.name)
        writer.byteString(attribute.value)
    }
}

private func decodeAttributes(_ reader: inout ByteReader) throws(FormatError) -> [ExtendedAttribute] {
    let count = try reader.count(limit: Limits.xattrsMax)
    guard count > 0 else { throw reader.error(.inconsistent) }
    var attributes: [ExtendedAttribute] = []
    var total = 0
    for _ in 0..<count {
        let name = try reader.byteString(limit: Limits.xattrNameBytesMax)
        let value = try reader.byteString(limit: Limits.xattrValueBytesMax)
        total += name.count + value.count
        guard total <= Limits.xattrsTotalBytesMax else { throw reader.error(.outOfRange) }
        guard !name.isEmpty, !name.contains(0) else { throw reader.error(.inconsistent) }
        if let last = attributes.last, !last.name.lexicographicallyPrecedes(name) { throw reader.error(.inconsistent) }
        attributes.append(ExtendedAttribute(name: name, value: value))
    }
    return attributes
}

/// Each extent as the length of the hole in front of it, and its own length.
private func encodeExtents(_ extents: [Extent], into writer: inout ByteWriter) {
    writer.count(extents.count)
    var position: UInt64 = 0
    for extent in extents {
        writer.varint(extent.offset &- position)
        writer.varint(extent.length)
        position = extent.offset &+ extent.length
    }
}

private func decodeExtents(_ reader: inout ByteReader, size: UInt64) throws(FormatError) -> [Extent] {
    let count = try reader.count(limit: Limits.extentsMax)
    var extents: [Extent] = []
    var position: UInt64 = 0
    for _ in 0..<count {
        let (offset, overflow) = position.addingReportingOverflow(try reader.varint())
        let length = try reader.varint()
        let (end, endOverflow) = offset.addingReportingOverflow(length)
        guard !overflow, !endOverflow, length > 0, end <= size else { throw reader.error(.inconsistent) }
        extents.append(Extent(offset: offset, length: length))
        position = end
    }
    return extents
}
