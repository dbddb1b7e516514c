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
            var source = MessageBytes(head: head, bulk: bulk)
            var place = 0
            for _ in 0..<recordCount {
                let length = min(content, source.remaining) + CipherState.tagBytes
                output[place] = UInt8(length >> 8)
                output[place + 1] = UInt8(length & 255)
                let record = UnsafeMutableRawBufferPointer(rebasing: output[place + 2..<place + 2 + length])
                source.fill(UnsafeMutableRawBufferPointer(rebasing: record[..<(length - CipherState.tagBytes)]))
                sealRecord(record)
                place += 2 + length
            }
        }
    }

    private mutating func sealRecord(_ record: UnsafeMutableRawBufferPointer) {
        do { try cipher.encrypt(inPlace: record) } catch { preconditionFailure("nonces were counted before: \(error)") }
        records += 1
        if records % recordsPerKey == 0 { cipher.rekey() }
    }
}

/// The bytes of a message from first to last.
private struct MessageBytes {
    let head: [UInt8]
    let bulk: ArraySlice<UInt8>
    private var taken = 0

    init(head: [UInt8], bulk: ArraySlice<UInt8>) {
        self.head = head
        self.bulk = bulk
    }

    var remaining: Int { head.count + bulk.count - taken }

    /// Fills `output` with the next bytes, of which there are enough.
    mutating func fill(_ output: UnsafeMutableRawBufferPointer) {
        let fromHead = min(output.count, max(0, head.count - taken))
        if fromHead > 0 {
            head.withUnsafeBytes { head in
                output.copyMemory(from: UnsafeRawBufferPointer(rebasing: head[taken..<taken + fromHead]))
            }
        }
        let fromBulk = output.count - fromHead
        if fromBulk > 0 {
            let start = max(0, taken - head.count)
            bulk.withUnsafeBytes { bulk in
                UnsafeMutableRawBufferPointer(rebasing: output[fromHead...])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bulk[start..<start + fromBulk]))
            }
        }
        taken += output.count
    }
}
