package import BackupFormat
internal import Glibc

/// Reads a folder's entries in order, one chunk of them in memory at a time. Used by one thread.
///
/// Refuses a tree whose names do not rise, or whose chunks do not end with an entry. After an error it goes on with the next
/// chunk that can be read: what is lost of a folder is no more than that.
package final class TreeReader {
    private let source: any ChunkSource
    private let scratch: ChunkScratch
    private var keys: KeyListCursor
    private var key: ChunkKey?
    private var chunk: UnsafeMutableRawBufferPointer?
    /// Where in the chunk the next entry starts.
    private var offset = 0
    private var chunkBytes = 0
    /// Where the last entry's name lies in the chunk; nil at a chunk's start.
    private var lastName: Range<Int>?
    private var lastNameBefore: [UInt8] = []
    /// What `offset` and `lastName` were before the last entry.
    private var previous: (offset: Int, name: Range<Int>?)?

    /// `scratch` is used only while ``next()`` runs.
    package init(_ keys: KeyList, _ source: any ChunkSource, _ scratch: ChunkScratch) {
        self.source = source
        self.scratch = scratch
        self.keys = KeyListCursor(keys)
    }

    deinit { chunk?.deallocate() }

    /// Bytes held now.
    package var heldBytes: Int { chunk == nil ? 0 : chunkBytes }

    /// Gives up the chunk; ``next()`` reads it again. Entries handed out before are no longer valid.
    package func release() {
        guard let chunk else { return }
        if offset >= chunkBytes {
            leaveChunk()
        } else {
            if let lastName {
                lastNameBefore = Array(chunk[lastName])
                self.lastName = nil
            }
            previous = nil
            freeChunk()
        }
    }

    /// Makes ``next()`` give the last entry once more.
    func putBack() {
        guard let previous else { return }
        offset = previous.offset
        lastName = previous.name
        self.previous = nil
    }

    /// The next entry, or nil at the end. Valid until the next call.
    package func next() throws(ArchiveError) -> TreeEntryView? {
        if chunk != nil, offset >= chunkBytes { leaveChunk() }
        guard let bytes = try currentChunk() else { return nil }
        let rest = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[offset..<chunkBytes])
        var reader = ByteReader(rest, "tree")
        let view: TreeEntryView
        do { view = try TreeEntryView(parsing: &reader) } catch {
            leaveChunk()
            throw TreeReader.damaged("\(error)")
        }
        guard rises(to: view.name, UnsafeRawBufferPointer(bytes)) else {
            leaveChunk()
            throw TreeReader.damaged("its names are not in order")
        }
        previous = (offset, lastName)
        if let start = view.name.baseAddress, let base = bytes.baseAddress {
            let position = UnsafeRawPointer(base).distance(to: start)
            lastName = position..<position + view.name.count
        }
        offset += reader.offset
        return view
    }

    private static func damaged(_ why: String) -> ArchiveError {
        ArchiveError(.damaged, "read a folder", "\(why); the backup that wrote it was faulty, use another snapshot")
    }

    private func currentChunk() throws(ArchiveError) -> UnsafeMutableRawBufferPointer? {
        if let chunk { return chunk }
        while true {
            if key == nil { key = try keys.next(source, scratch) }
            guard let key else { return nil }
            let plain: UnsafeRawBufferPointer
            do { plain = try source.read(key, scratch) } catch {
                leaveChunk()
                throw error
            }
            if plain.isEmpty {
                self.key = nil
                continue
            }
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: plain.count, alignment: 16)
            copy.copyMemory(from: plain)
            chunk = copy
            chunkBytes = plain.count
            return copy
        }
    }

    private func rises(to name: UnsafeRawBufferPointer, _ chunk: UnsafeRawBufferPointer) -> Bool {
        if let lastName { return compareNames(UnsafeRawBufferPointer(rebasing: chunk[lastName]), name) < 0 }
        return lastNameBefore.isEmpty || lastNameBefore.withUnsafeBytes { compareNames($0, name) < 0 }
    }

    /// Ends the chunk that is used up.
    private func leaveChunk() {
        if let chunk, let lastName { lastNameBefore = Array(chunk[lastName]) }
        freeChunk()
        lastName = nil
        previous = nil
        offset = 0
        key = nil
    }

    private func freeChunk() {
        chunk?.deallocate()
        chunk = nil
    }
}

/// Below, at or above 0 as `a` comes before, is or comes after `b` in byte order.
func compareNames(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
    if let first = a.baseAddress, let second = b.baseAddress {
        let order = memcmp(first, second, min(a.count, b.count))
        if order != 0 { return Int(order) }
    }
    return a.count - b.count
}
