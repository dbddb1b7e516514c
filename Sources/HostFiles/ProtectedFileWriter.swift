package import BackupFormat

/// Writes a protected file whose content comes piece by piece. Holds at most one group, 16 MiB, of it.
// SAFETY: not for two threads at a time; nothing in it is bound to the thread that made it.
package final class ProtectedFileWriter: @unchecked Sendable {
    private let file: any DiskFile
    private let encoder = ProtectedFileEncoder()
    /// Memory that is not written to is not used, so small content costs little.
    private let buffer: UnsafeMutableRawBufferPointer
    private var buffered = 0
    private var group = 0
    private var offset = 0

    /// Creates the file, which must not exist. `expectedBytes` is a hint: the content's length.
    package init(_ disk: any Disk, _ path: RawPath, expectedBytes: Int = 0) throws(HostFilesError) {
        file = try disk.createExclusively(path, expectedBytes: expectedBytes)
        buffer = .allocate(byteCount: ProtectedLayout.groupContentBytes, alignment: ProtectedLayout.pageBytes)
    }

    deinit { buffer.deallocate() }

    /// Content bytes so far.
    package var contentBytes: Int { group * ProtectedLayout.groupContentBytes + buffered }

    package func append(_ bytes: UnsafeRawBufferPointer) throws(HostFilesError) {
        var rest = bytes
        while !rest.isEmpty {
            if buffered == buffer.count {
                offset += try encoder.writeGroup(
                    UnsafeRawBufferPointer(buffer), group: group, isLast: false, to: file, at: offset)
                group += 1
                buffered = 0
            }
            let count = min(rest.count, buffer.count - buffered)
            UnsafeMutableRawBufferPointer(rebasing: buffer[buffered...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
            buffered += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    package func append(_ bytes: [UInt8]) throws(HostFilesError) {
        try bytes.withBytes { bytes throws(HostFilesError) in try append(bytes) }
    }

    /// Writes the rest, syncs and closes the file: its bytes are durable then, its name is not. Returns the file's bytes.
    @discardableResult
    package func finish() throws(HostFilesError) -> Int {
        let rest = UnsafeRawBufferPointer(rebasing: buffer[..<buffered])
        if group == 0 {
            offset = try encoder.write(rest, to: file)
        } else {
            offset += try encoder.writeGroup(rest, group: group, isLast: true, to: file, at: offset)
        }
        try file.sync()
        file.close()
        return offset
    }
}
