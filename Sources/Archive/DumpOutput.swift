internal import BackupFormat
internal import Glibc

/// Bytes on their way to a descriptor, small ones collected.
final class DumpOutput {
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private static let bufferBytes = 256 << 10
    private static let zeros = [UInt8](repeating: 0, count: 64 << 10)
    /// Bytes given so far.
    private(set) var count = 0

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        buffer.reserveCapacity(DumpOutput.bufferBytes)
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        count += bytes.count
        if buffer.count + bytes.count > DumpOutput.bufferBytes { try flush() }
        if bytes.count >= DumpOutput.bufferBytes { return try writeAll(bytes) }
        buffer.append(contentsOf: bytes)
    }

    func write(_ bytes: [UInt8]) throws(ArchiveError) {
        count += bytes.count
        if buffer.count + bytes.count > DumpOutput.bufferBytes { try flush() }
        buffer.append(contentsOf: bytes)
    }

    func writeZeros(_ zeros: Int) throws(ArchiveError) {
        var rest = zeros
        while rest > 0 {
            let piece = min(rest, DumpOutput.zeros.count)
            try write(Array(DumpOutput.zeros[..<piece]))
            rest -= piece
        }
    }

    func flush() throws(ArchiveError) {
        let result = buffer.withUnsafeBytes { bytes in Result { () throws(ArchiveError) in try writeAll(bytes) } }
        try result.get()
        buffer.removeAll(keepingCapacity: true)
    }

    private func writeAll(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        var done = 0
        while done < bytes.count {
            let written = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            if written < 0 {
                let number = errno
                if number == EINTR { continue }
                if number == EPIPE { throw ArchiveError(.brokenPipe, "write the output", "whoever was reading it has gone") }
                throw ArchiveError(.storage, "write the output", String(cString: strerror(number)))
            }
            done += written
        }
    }
}
