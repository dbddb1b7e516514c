internal import BackupFormat
internal import Cryptography

/// The header before every message: the length of its encoded part and of the raw bytes after it, `u32` big-endian each.
struct MessageHeader: Hashable {
    var controlBytes: Int
    var bulkBytes: Int

    static let byteCount = 8

    var totalBytes: Int { MessageHeader.byteCount + controlBytes + bulkBytes }

    var bytes: [UInt8] {
        [controlBytes, bulkBytes].flatMap { count in stride(from: 24, through: 0, by: -8).map { UInt8(count >> $0 & 255) } }
    }

    init(controlBytes: Int, bulkBytes: Int) {
        self.controlBytes = controlBytes
        self.bulkBytes = bulkBytes
    }

    /// From the first 8 bytes of `bytes`, which has as many.
    init(_ bytes: UnsafeRawBufferPointer) {
        func number(_ offset: Int) -> Int { Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))) }
        controlBytes = number(0)
        bulkBytes = number(4)
    }
}

/// Turns messages into sealed records. A message begins a record, and its records are full but for the last.
struct MessageSender: ~Copyable {
    private var cipher: CipherState
    private let recordsPerKey: UInt64
    private var records: UInt64 = 0

    init(cipher: consuming CipherState, recordsPerKey: UInt64 = Limits.recordsPerKey) {
        self.cipher = cipher
        self.recordsPerKey = recordsPerKey
    }

    /// Appends the bytes for the wire of one message. Nothing has happened when it throws.
    mutating func seal(
        control: [UInt8], bulk: ArraySlice<UInt8>, into output: inout some WireOutput
    ) throws(PeerProtocolError) {
        let header = MessageHeader(controlBytes: control.count, bulkBytes: bulk.count)
        let head = header.bytes + control
        let content = Limits.recordContentBytesMax
        let recordCount = (header.totalBytes + content - 1) / content
        guard cipher.hasNonces(recordCount) else { throw PeerProtocolError(.exhausted) }
        let wireBytes = header.totalBytes + recordCount * (2 + CipherState.tagBytes)
        output.append(count: wireBytes) { output in
            bulk.withUnsafeBytes { bulk in
                var place = 0
                var taken = 0
                for _ in 0..<recordCount {
                    let length = min(content, header.totalBytes - taken)
                    let wireLength = length + CipherState.tagBytes
                    output[place] = UInt8(wireLength >> 8)
                    output[place + 1] = UInt8(wireLength & 255)
                    let record = UnsafeMutableRawBufferPointer(rebasing: output[place + 2..<place + 2 + wireLength])
                    sealRecord(
                        record, head[min(taken, head.count)..<min(taken + length, head.count)], bulk, from: taken - head.count)
                    taken += length
                    place += 2 + wireLength
                }
            }
        }
    }

    /// Seals the bytes of `head`, and after them as many of `bulk`, from `start` on, as the record has room for.
    private mutating func sealRecord(
        _ record: UnsafeMutableRawBufferPointer, _ head: ArraySlice<UInt8>, _ bulk: UnsafeRawBufferPointer, from start: Int
    ) {
        let length = record.count - CipherState.tagBytes
        let part = UnsafeRawBufferPointer(rebasing: bulk[max(0, start)..<max(0, start) + length - head.count])
        do throws(CryptographyError) {
            if head.isEmpty {
                try cipher.encrypt(part, into: record)
            } else {
                record.copyBytes(from: head)
                UnsafeMutableRawBufferPointer(rebasing: record[head.count...]).copyMemory(from: part)
                try cipher.encrypt(inPlace: record)
            }
        } catch { preconditionFailure("nonces were counted before: \(error)") }
        records += 1
        if records % recordsPerKey == 0 { cipher.rekey() }
    }
}
