package import BackupFormat
internal import CLinux

/// The names in a directory, in the order of their bytes, within a fixed amount of memory.
///
/// A listing is used for one directory after another and keeps its memory in between. Names are kept in one arena; when
/// they exceed the budget, what is there is sorted, written to an unlinked temporary file, and merged from there.
/// Not for several threads at once.
package final class SortedListing {
    /// One name of a directory. The bytes are valid until the next call on the listing.
    package struct Entry {
        /// A single component, without NUL and slash; longer than ``Limits/nameBytesMax`` on a few file systems.
        package let name: UnsafeRawBufferPointer
        /// Nil where the file system does not tell. Only a hint: by now it may be something else.
        package let typeHint: EntryType?
        package let inodeHint: UInt64
    }

    private let scratch: ListingScratch
    private let budgetBytes: Int
    private let spillFolder: RawPath
    private var arena = NameArena()
    /// The next of the arena's names to give.
    private var position = 0
    private var spill: ListingSpill?

    /// `budgetBytes` bounds names and index together. `spillFolder` is where the temporary file goes, if one is needed:
    /// names are written there as they are. `scratch` may be shared by all listings of one thread.
    package init(scratch: ListingScratch, budgetBytes: Int = 8 << 20, spillFolder: RawPath) {
        self.scratch = scratch
        self.budgetBytes = max(budgetBytes, 64 << 10)
        self.spillFolder = spillFolder
    }

    /// Reads all names of a directory, but `.` and `..`. What was read before is forgotten, after an error too.
    package func read(_ directory: DirectoryHandle) throws(HostFilesError) {
        reset()
        do throws(HostFilesError) {
            try readAll(directory)
        } catch {
            reset()
            throw error
        }
    }

    private func readAll(_ directory: DirectoryHandle) throws(HostFilesError) {
        // The descriptor may have been read before.
        try directory.rewind()
        while true {
            let count = try directory.readEntries(into: scratch.buffer)
            if count == 0 { break }
            try add(UnsafeRawBufferPointer(rebasing: scratch.buffer[..<count]))
        }
        if spill != nil {
            try spillArena()
            try spill?.startMerge(budgetBytes: budgetBytes)
        } else {
            arena.sort()
        }
    }

    /// The next name, or nil after the last. A name that the directory gave twice, as may be when it changes meanwhile,
    /// is given once.
    @inline(__always)
    package func next() throws(HostFilesError) -> Entry? {
        if spill == nil {
            while position < arena.count {
                defer { position += 1 }
                if position > 0 && arena.isDuplicate(position) { continue }
                return arena.entry(position)
            }
            return nil
        }
        return try spill?.next()
    }

    /// Forgets the names, and gives back large memory.
    package func reset() {
        position = 0
        spill = nil
        arena.removeAll()
    }

    /// The directory holds nothing.
    package var isEmpty: Bool { arena.count == 0 && spill == nil }

    /// How many names were read, if none were spilled: what a caller needs to size its work.
    package var countHint: Int { arena.count }

    private func add(_ entries: UnsafeRawBufferPointer) throws(HostFilesError) {
        var offset = 0
        // inode u64, offset i64, record length u16, type u8, name, NUL
        while offset + 20 <= entries.count {
            let inode = entries.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let length = Int(entries.loadUnaligned(fromByteOffset: offset + 16, as: UInt16.self))
            let type = entries[offset + 18]
            guard length >= 20, offset + length <= entries.count else { break }
            let field = UnsafeRawBufferPointer(rebasing: entries[offset + 19..<offset + length])
            let name = UnsafeRawBufferPointer(rebasing: field[..<linux_length(field.baseAddress, field.count)])
            offset += length
            if name.isEmpty || isDots(name) { continue }
            if arena.bytes + name.count + 64 > budgetBytes { try spillArena() }
            arena.append(name, inode: inode, type: type)
        }
    }

    private func spillArena() throws(HostFilesError) {
        arena.sort()
        if spill == nil { spill = try ListingSpill(folder: spillFolder) }
        try spill?.write(arena)
        arena.removeAll()
    }
}

/// The buffer that a thread's listings share while they read.
package final class ListingScratch {
    let buffer: UnsafeMutableRawBufferPointer

    package init(bytes: Int = 128 << 10) {
        buffer = .allocate(byteCount: max(bytes, 4096), alignment: 8)
    }

    deinit { buffer.deallocate() }
}

@inline(__always)
private func isDots(_ name: UnsafeRawBufferPointer) -> Bool {
    name[0] == 0x2e && (name.count == 1 || (name.count == 2 && name[1] == 0x2e))
}

extension DirectoryHandle {
    /// Sets the descriptor back to the first entry.
    func rewind() throws(HostFilesError) {
        let result = try perform("read the folder", emptyName) { fd, _ in linux_seek(fd, 0, linux_SEEK_SET) }
        guard result >= 0 else { throw HostFilesError(errno: Int32(-result), "read the folder") }
    }

    /// The next entries as the kernel lays them out; how many bytes, 0 at the end.
    func readEntries(into buffer: UnsafeMutableRawBufferPointer) throws(HostFilesError) -> Int {
        let count: Int64
        if mountGuard == nil {
            count = linux_getdents64(fd, buffer.baseAddress, buffer.count)
        } else {
            let length = buffer.count
            let (result, bytes) = try perform("read the folder", emptyName) { fd, _ in
                var result: Int64 = 0
                let bytes = [UInt8](unsafeUninitializedCapacity: length) { space, used in
                    result = linux_getdents64(fd, space.baseAddress, space.count)
                    used = Int(max(0, result))
                }
                return (result, bytes)
            }
            bytes.withUnsafeBytes { buffer.copyMemory(from: $0) }
            count = result
        }
        guard count >= 0 else { throw HostFilesError(errno: Int32(-count), "read the folder") }
        return Int(count)
    }
}
