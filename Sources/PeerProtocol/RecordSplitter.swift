internal import BackupFormat

/// Cuts a TCP stream into records: a length of 2 bytes, big-endian, and as many bytes. Holds at most one record.
struct RecordSplitter {
    /// What a record may be, in bytes; a longer one is refused as soon as its length is known.
    var recordBytesMax: Int
    /// No record is shorter: one that carries nothing costs work for nothing.
    private let recordBytesMin: Int
    /// The beginning of a record, with its length.
    private var partial: [UInt8] = []

    init(recordBytesMin: Int, recordBytesMax: Int) {
        self.recordBytesMin = recordBytesMin
        self.recordBytesMax = recordBytesMax
    }

    /// How many bytes wait for the rest of their record.
    var heldBytes: Int { partial.count }

    /// The next whole record, taken from the front of `input`; nil when all input is used up.
    mutating func next(_ input: inout UnsafeRawBufferPointer) throws(PeerProtocolError) -> Record? {
        if partial.isEmpty, input.count >= 2 {
            let count = try recordBytes(input[0], input[1])
            if input.count >= 2 + count {
                defer { input = UnsafeRawBufferPointer(rebasing: input[(2 + count)...]) }
                return .inPlace(UnsafeRawBufferPointer(rebasing: input[2..<2 + count]))
            }
            partial.reserveCapacity(2 + count)
        }
        while !input.isEmpty {
            let wanted = partial.count < 2 ? 2 - partial.count : 2 + (try recordBytes(partial[0], partial[1])) - partial.count
            let taken = min(wanted, input.count)
            partial += input.prefix(taken)
            input = UnsafeRawBufferPointer(rebasing: input[taken...])
            guard partial.count >= 2, partial.count == 2 + (try recordBytes(partial[0], partial[1])) else { continue }
            defer { partial = [] }
            return .gathered(partial)
        }
        return nil
    }

    private func recordBytes(_ high: UInt8, _ low: UInt8) throws(PeerProtocolError) -> Int {
        let count = Int(high) << 8 | Int(low)
        guard count >= recordBytesMin, count <= recordBytesMax else {
            throw PeerProtocolError(.violation, "a record of \(count) bytes")
        }
        return count
    }
}

/// A record's bytes, without its length.
enum Record {
    /// Within the input, which must not be kept.
    case inPlace(UnsafeRawBufferPointer)
    /// Put together from pieces: two bytes of length stand before it.
    case gathered([UInt8])

    var byteCount: Int {
        switch self {
        case .inPlace(let bytes): bytes.count
        case .gathered(let bytes): bytes.count - 2
        }
    }

    func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        switch self {
        case .inPlace(let bytes): return try body(bytes)
        case .gathered(let bytes):
            let result = bytes.withUnsafeBytes { bytes in
                Result { () throws(E) in try body(UnsafeRawBufferPointer(rebasing: bytes[2...])) }
            }
            return try result.get()
        }
    }
}
