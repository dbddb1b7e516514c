internal import BackupFormat
internal import CLinux

/// Sorted runs of names in a temporary file without a name, and the merge of them.
///
/// A record: inode u64, type u8, length u16, name.
final class ListingSpill {
    private static let headerBytes = 11
    private static let runBufferBytesMin = 8192

    private let fd: Int32
    private var end: Int64 = 0
    private var runs: [Run] = []
    /// Indices of runs that are not at their end, as a heap by their current names.
    private var heap: [Int] = []
    private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var lastName: [UInt8] = []
    private var hasLast = false
    private var advanceFirst = false

    /// Where a run stands: what part of it is in memory, and its current record there.
    private struct Run {
        var offset: Int64
        let end: Int64
        var buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        var filled = 0
        var position = 0
        var prefix: UInt64 = 0
    }

    init(folder: RawPath) throws(HostFilesError) {
        var result = folder.bytes.withUnsafeBytes {
            linux_openat(linux_AT_FDCWD, $0.baseAddress, $0.count, linux_O_TMPFILE | linux_O_RDWR | linux_O_EXCL, 0o600)
        }
        if result < 0 && HostFilesError.code(of: -result) != .notFound {
            // A file system without O_TMPFILE.
            let path = folder.appending(
                ".bakare-listing-\(linux_process_id())-\(linux_thread_id())-\(linux_monotonic_nanoseconds())")
            result = path.bytes.withUnsafeBytes { bytes in
                let flags = linux_O_RDWR | linux_O_CREAT | linux_O_EXCL
                let opened = linux_openat(linux_AT_FDCWD, bytes.baseAddress, bytes.count, flags, 0o600)
                if opened >= 0 { _ = linux_unlinkat(linux_AT_FDCWD, bytes.baseAddress, bytes.count, 0) }
                return opened
            }
        }
        guard result >= 0 else { throw HostFilesError(errno: -result, "make a temporary file in", path: folder) }
        fd = result
    }

    deinit {
        _ = linux_close(fd)
        memory.deallocate()
    }

    /// Appends the arena's names as one run.
    func write(_ arena: borrowing NameArena) throws(HostFilesError) {
        let start = end
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 << 10, alignment: 8)
        defer { buffer.deallocate() }
        var filled = 0
        for index in 0..<arena.count {
            let name = arena.name(index)
            if filled + ListingSpill.headerBytes + name.count > buffer.count {
                try append(UnsafeRawBufferPointer(rebasing: buffer[..<filled]))
                filled = 0
            }
            buffer.storeBytes(of: arena.inode(index), toByteOffset: filled, as: UInt64.self)
            buffer[filled + 8] = arena.type(index)
            buffer.storeBytes(of: UInt16(name.count), toByteOffset: filled + 9, as: UInt16.self)
            UnsafeMutableRawBufferPointer(rebasing: buffer[(filled + ListingSpill.headerBytes)...]).copyMemory(from: name)
            filled += ListingSpill.headerBytes + name.count
        }
        try append(UnsafeRawBufferPointer(rebasing: buffer[..<filled]))
        runs.append(Run(offset: start, end: end))
    }

    private func append(_ bytes: UnsafeRawBufferPointer) throws(HostFilesError) {
        let result = linux_pwrite_full(fd, bytes.baseAddress, bytes.count, end)
        guard result == 0 else { throw HostFilesError(errno: -result, "write a temporary file") }
        end += Int64(bytes.count)
    }

    /// Makes ready to give the names of all runs in order.
    func startMerge(budgetBytes: Int) throws(HostFilesError) {
        let share = max(ListingSpill.runBufferBytesMin, budgetBytes / max(1, runs.count))
        memory = .allocate(byteCount: share * runs.count, alignment: 8)
        for index in runs.indices {
            runs[index].buffer = UnsafeMutableRawBufferPointer(rebasing: memory[index * share..<(index + 1) * share])
            if try load(index) { heap.append(index) }
        }
        for start in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(start) }
    }

    func next() throws(HostFilesError) -> SortedListing.Entry? {
        while true {
            if advanceFirst { try advance() }
            guard let run = heap.first else { return nil }
            // Its memory stays until this run moves on, at the next call.
            advanceFirst = true
            let name = self.name(run)
            let isDuplicate = hasLast && lastName.withUnsafeBytes { compareNames($0, name) == 0 }
            if isDuplicate { continue }
            hasLast = true
            lastName.removeAll(keepingCapacity: true)
            lastName.append(contentsOf: name)
            let buffer = runs[run].buffer
            let position = runs[run].position
            return SortedListing.Entry(
                name: name, typeHint: EntryType(entryType: buffer[position + 8]),
                inodeHint: buffer.loadUnaligned(fromByteOffset: position, as: UInt64.self))
        }
    }

    /// Moves the first run of the heap to its next record.
    private func advance() throws(HostFilesError) {
        advanceFirst = false
        guard let run = heap.first else { return }
        runs[run].position += ListingSpill.headerBytes + nameLength(run)
        if try !load(run) {
            let last = heap.removeLast()
            if heap.isEmpty { return }
            heap[0] = last
        }
        siftDown(0)
    }

    private func nameLength(_ run: Int) -> Int {
        Int(runs[run].buffer.loadUnaligned(fromByteOffset: runs[run].position + 9, as: UInt16.self))
    }

    private func name(_ run: Int) -> UnsafeRawBufferPointer {
        let start = runs[run].position + ListingSpill.headerBytes
        return UnsafeRawBufferPointer(rebasing: runs[run].buffer[start..<start + nameLength(run)])
    }

    /// Has the run's current record in memory. False at the end of the run.
    private func load(_ run: Int) throws(HostFilesError) -> Bool {
        if !isComplete(run) {
            try fill(run)
            if runs[run].filled == 0 { return false }
            guard isComplete(run) else { throw HostFilesError(.damaged, "read a temporary file") }
        }
        runs[run].prefix = prefixNumber(name(run), from: 0)
        return true
    }

    private func isComplete(_ run: Int) -> Bool {
        let rest = runs[run].filled - runs[run].position
        return rest >= ListingSpill.headerBytes && rest >= ListingSpill.headerBytes + nameLength(run)
    }

    /// Moves what is left to the front, and reads more behind it.
    private func fill(_ run: Int) throws(HostFilesError) {
        let rest = runs[run].filled - runs[run].position
        let buffer = runs[run].buffer
        if let start = buffer.baseAddress { start.copyMemory(from: start + runs[run].position, byteCount: rest) }
        runs[run].position = 0
        let wanted = min(buffer.count - rest, Int(runs[run].end - runs[run].offset))
        let result = linux_pread_full(fd, buffer.baseAddress.map { $0 + rest }, wanted, runs[run].offset)
        guard result == Int64(wanted) else {
            throw result < 0
                ? HostFilesError(errno: Int32(-result), "read a temporary file")
                : HostFilesError(.damaged, "read a temporary file")
        }
        runs[run].offset += result
        runs[run].filled = rest + wanted
    }

    private func siftDown(_ start: Int) {
        var root = start
        while true {
            var child = 2 * root + 1
            if child >= heap.count { return }
            if child + 1 < heap.count && precedes(heap[child + 1], heap[child]) { child += 1 }
            guard precedes(heap[child], heap[root]) else { return }
            heap.swapAt(child, root)
            root = child
        }
    }

    private func precedes(_ a: Int, _ b: Int) -> Bool {
        if runs[a].prefix != runs[b].prefix { return runs[a].prefix < runs[b].prefix }
        return compareNames(name(a), name(b)) < 0
    }
}
