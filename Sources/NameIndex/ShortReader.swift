internal import BackupFormat

/// Reads small numbers and the bytes between them: what `ByteReader` reads as well, in less time, since this is for loops over each name.
struct ShortReader {
    private let base: UnsafeRawBufferPointer
    private(set) var offset = 0
    /// Names what is read, for errors.
    private let what: StaticString

    init(_ base: UnsafeRawBufferPointer, _ what: StaticString) {
        self.base = base
        self.what = what
    }

    var isAtEnd: Bool { offset == base.count }
    var remaining: Int { base.count &- offset }

    func error(_ code: FormatError.Code) -> FormatError { FormatError(code, "\(what)", at: offset) }

    /// A varint of up to three bytes, in its shortest form.
    @inline(__always)
    mutating func number() throws(FormatError) -> Int {
        guard offset < base.count else { throw error(.truncated) }
        let first = Int(base[offset])
        offset &+= 1
        if first < 0x80 { return first }
        var value = first & 0x7f
        for shift in [7, 14] {
            guard offset < base.count else { throw error(.truncated) }
            let byte = Int(base[offset])
            offset &+= 1
            value |= (byte & 0x7f) << shift
            if byte < 0x80 {
                guard byte > 0 else { throw error(.inconsistent) }
                return value
            }
        }
        throw error(.outOfRange)
    }

    /// The next `count` bytes, in place; `count` is not negative.
    @inline(__always)
    mutating func bytes(_ count: Int) throws(FormatError) -> UnsafeRawBufferPointer {
        guard count <= remaining else { throw error(.truncated) }
        let bytes = UnsafeRawBufferPointer(rebasing: base[offset..<offset &+ count])
        offset &+= count
        return bytes
    }
}
