internal import BackupFormat
internal import Cryptography

/// A message as it came: its encoded part, and the raw bytes after it.
struct ReceivedMessage {
    let control: [UInt8]
    let bulk: [UInt8]

    /// What it costs of the sender's credit.
    var creditBytes: Int { MessageHeader.byteCount + control.count + bulk.count }
}

/// Opens records and puts messages together. Holds at most one record and one message within the bounds it is given.
struct MessageReceiver: ~Copyable {
    private var cipher: CipherState
    private var splitter = RecordSplitter(recordBytesMin: CipherState.tagBytes + 1, recordBytesMax: Limits.recordBytesMax)
    private let recordsPerKey: UInt64
    private var records: UInt64 = 0
    private var scratch: [UInt8] = []
    /// The message being put together.
    private var partial: Partial?

    private struct Partial {
        let header: MessageHeader
        var control: [UInt8] = []
        /// As long as it will be, once some of it has come.
        var bulk: [UInt8] = []
        var bulkReceived = 0

        var remaining: Int { header.controlBytes + header.bulkBytes - control.count - bulkReceived }

        /// Whether a record of so many bytes may come next.
        func takes(_ count: Int) -> Bool {
            count == remaining || count == Limits.recordContentBytesMax && count < remaining
        }
    }

    init(cipher: consuming CipherState, recordsPerKey: UInt64 = Limits.recordsPerKey) {
        self.cipher = cipher
        self.recordsPerKey = recordsPerKey
    }

    /// How many bytes wait for the rest of their message.
    var heldBytes: Int { splitter.heldBytes + (partial.map { $0.control.count + $0.bulk.count } ?? 0) }

    /// The most that the next message may be; see ``next(_:bounds:)``.
    struct Bounds {
        var controlBytesMax: Int
        var bulkBytesMax: Int
    }

    /// The next whole message from the front of `input`; nil when all input is used up. A message that begins is refused
    /// if its header says more than `bounds`, before anything is held for it.
    mutating func next(
        _ input: inout UnsafeRawBufferPointer, bounds: Bounds
    ) throws(PeerProtocolError) -> ReceivedMessage? {
        while let record = try splitter.next(&input) {
            if try openInPlace(record) {
                if let message = takeWhole() { return message }
            } else if let message = try take(try open(record), bounds) {
                return message
            }
        }
        return nil
    }

    /// Opens a record that is raw bytes of a message alone to where they belong; false if it is none.
    private mutating func openInPlace(_ record: Record) throws(PeerProtocolError) -> Bool {
        let count = record.byteCount - CipherState.tagBytes
        let place = partial.flatMap { $0.bulkReceived > 0 && $0.takes(count) ? $0.bulkReceived : nil }
        guard let place else { return false }
        var failure: CryptographyError?
        record.withBytes { sealed in
            partial?.bulk.withUnsafeMutableBytes { bulk in
                let output = UnsafeMutableRawBufferPointer(rebasing: bulk[place..<place + count])
                do throws(CryptographyError) { try cipher.decrypt(sealed, into: output) } catch { failure = error }
            }
        }
        if let failure { throw PeerProtocolError(failure) }
        partial?.bulkReceived += count
        countRecord()
        return true
    }

    private mutating func countRecord() {
        records += 1
        if records % recordsPerKey == 0 { cipher.rekey() }
    }

    /// The message, if all of it has come.
    private mutating func takeWhole() -> ReceivedMessage? {
        guard partial?.remaining == 0, let message = partial.take() else { return nil }
        return ReceivedMessage(control: message.control, bulk: message.bulk)
    }

    /// Opens a record into `scratch`; answers its length.
    private mutating func open(_ record: Record) throws(PeerProtocolError) -> Int {
        if scratch.isEmpty { scratch = [UInt8](repeating: 0, count: Limits.recordContentBytesMax) }
        var failure: CryptographyError?
        let count = record.withBytes { sealed in
            scratch.withUnsafeMutableBytes { plain in
                do throws(CryptographyError) { try cipher.decrypt(sealed, into: plain) } catch { failure = error }
            }
            return sealed.count - CipherState.tagBytes
        }
        if let failure { throw PeerProtocolError(failure) }
        countRecord()
        return count
    }

    /// Adds the first `count` bytes of `scratch` to the message; answers it when it is whole.
    private mutating func take(_ count: Int, _ bounds: Bounds) throws(PeerProtocolError) -> ReceivedMessage? {
        var place = 0
        if partial == nil {
            guard count >= MessageHeader.byteCount else {
                throw PeerProtocolError(.violation, "a record of \(count) bytes begins a message")
            }
            let header = scratch.withUnsafeBytes { MessageHeader($0) }
            guard header.controlBytes > 0, header.controlBytes <= bounds.controlBytesMax,
                header.bulkBytes <= bounds.bulkBytesMax
            else {
                throw PeerProtocolError(.violation, "a message of \(header.controlBytes) and \(header.bulkBytes) bytes")
            }
            place = MessageHeader.byteCount
            partial = Partial(header: header)
        }
        guard var message = partial.take() else { return nil }
        let carried = count - place
        guard carried == message.remaining || count == Limits.recordContentBytesMax && carried < message.remaining else {
            throw PeerProtocolError(.violation, "a record of \(count) bytes where \(message.remaining) are left of a message")
        }
        let toControl = min(carried, message.header.controlBytes - message.control.count)
        message.control += scratch[place..<place + toControl]
        if carried > toControl {
            let bytes = scratch[place + toControl..<count]
            if message.bulk.isEmpty {
                // What has not come yet is seen by nobody: a message is handed out whole.
                message.bulk = [UInt8](unsafeUninitializedCapacity: message.header.bulkBytes) { buffer, filled in
                    filled = message.header.bulkBytes
                }
            }
            message.bulk.replaceSubrange(message.bulkReceived..<message.bulkReceived + bytes.count, with: bytes)
            message.bulkReceived += bytes.count
        }
        partial = message
        return takeWhole()
    }
}
