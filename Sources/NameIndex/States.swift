package import BackupFormat

// The states of a block's paths, in four columns, each of which compresses better by itself:
//
//     bytes of column 1, 2 and 3, each a varint | column 1 | column 2 | column 3 | column 4
//
//     column 1  for each path: the number of changes, and for each: the ordinal (after the first of a path, how much higher than the one
//               before, less 1), and a byte: 0 for absent, else 1 more than the type
//     column 2  for each change that is not absent: the size
//     column 3  the same: seconds of the modification time, less those of the change before it in the block, zigzag
//     column 4  the same: nanoseconds, u32

package struct StatesWriter {
    private var changes = ByteWriter()
    private var sizes = ByteWriter()
    private var seconds = ByteWriter()
    private var nanoseconds = ByteWriter()
    private var lastSeconds: Int64 = 0

    package init() {}

    /// Bytes so far.
    var count: Int { changes.count + sizes.count + seconds.count + nanoseconds.count }

    /// `list` rises by ordinal.
    package mutating func add(_ list: [NameChange]) {
        changes.count(list.count)
        var last: UInt32?
        for change in list {
            changes.varint(UInt64(last.map { change.ordinal &- $0 &- 1 } ?? change.ordinal))
            last = change.ordinal
            guard let state = change.state else {
                changes.byte(0)
                continue
            }
            changes.byte(state.type.rawValue + 1)
            sizes.varint(state.size)
            seconds.signedVarint(state.modified.seconds &- lastSeconds)
            lastSeconds = state.modified.seconds
            nanoseconds.uint32(state.modified.nanoseconds)
        }
    }

    package mutating func finish() -> [UInt8] {
        var all = ByteWriter(capacity: count + 16)
        for column in [changes, sizes, seconds] { all.count(column.count) }
        for column in [changes, sizes, seconds, nanoseconds] { all.raw(column.bytes) }
        self = StatesWriter()
        return all.bytes
    }
}

/// Reads the states of a block, path by path.
package struct StatesReader {
    private var changes: ByteReader
    private var sizes: ByteReader
    private var seconds: ByteReader
    private var nanoseconds: ByteReader
    private var lastSeconds: Int64 = 0

    package init(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "states of names")
        let counts = (
            try reader.count(limit: bytes.count), try reader.count(limit: bytes.count), try reader.count(limit: bytes.count)
        )
        changes = ByteReader(try reader.bytes(counts.0), "states of names")
        sizes = ByteReader(try reader.bytes(counts.1), "states of names")
        seconds = ByteReader(try reader.bytes(counts.2), "states of names")
        nanoseconds = ByteReader(try reader.bytes(reader.remaining), "states of names")
    }

    /// The changes of the next path, by rising ordinals, in place of what is in `list`.
    package mutating func next(_ list: inout [NameChange]) throws(FormatError) {
        list.removeAll(keepingCapacity: true)
        let count = try changes.count(limit: NameLimits.changesMax)
        guard count > 0, count <= changes.remaining / 2 else { throw changes.error(.inconsistent) }
        var ordinal = 0
        for index in 0..<count {
            ordinal += try changes.count(limit: NameLimits.ordinalsMax) + (index > 0 ? 1 : 0)
            guard ordinal < NameLimits.ordinalsMax else { throw changes.error(.outOfRange) }
            let mark = try changes.byte()
            var state: NameState?
            if mark > 0 {
                guard let type = EntryType(rawValue: mark - 1) else { throw changes.error(.unknown) }
                lastSeconds = lastSeconds &+ (try seconds.signedVarint())
                let size = try sizes.varint()
                let fraction = try nanoseconds.uint32()
                guard fraction < 1_000_000_000 else { throw nanoseconds.error(.outOfRange) }
                state = NameState(type: type, size: size, modified: Timestamp(seconds: lastSeconds, nanoseconds: fraction))
            }
            list.append(NameChange(ordinal: UInt32(ordinal), state: state))
        }
    }

    /// Passes over the changes of the next path.
    mutating func skip() throws(FormatError) {
        for _ in 0..<(try changes.count(limit: NameLimits.changesMax)) {
            _ = try changes.varint()
            guard try changes.byte() > 0 else { continue }
            lastSeconds = lastSeconds &+ (try seconds.signedVarint())
            _ = try sizes.varint()
            _ = try nanoseconds.uint32()
        }
    }

    /// All paths were read.
    package var isAtEnd: Bool { changes.isAtEnd }

    /// Checks that nothing is left.
    package func end() throws(FormatError) {
        try changes.end()
        try sizes.end()
        try seconds.end()
        try nanoseconds.end()
    }
}
