package import BackupFormat
package import Cryptography
package import HostFiles

/// The index's folder: a file `manifest`, and the segments that it lists, each `<id>.names`.
///
/// Readers open what the manifest lists; whoever changes the index has the folder's lock, writes new segments, and then the manifest in
/// one rename. So a reader sees the index of before or of after.
package final class NameStore: Sendable {
    private let disk: any Disk
    private let directory: RawPath
    let cipher: NameIndexCipher

    private static let manifestName: RawPath = "manifest"
    private static let manifestMagic = Array("bakareNm".utf8)
    private static let manifestHeadBytes = 32
    private static let version: UInt32 = 5

    package init(disk: any Disk, directory: RawPath, cipher: NameIndexCipher) {
        self.disk = disk
        self.directory = directory
        self.cipher = cipher
    }

    /// What the index holds; an empty list when there is none, or none that can be used.
    package func manifest() throws(NameIndexError) -> NameManifest {
        let bytes: [UInt8]
        do {
            let file = try disk.openForReading(directory.appending(NameStore.manifestName))
            defer { file.close() }
            let count = try file.size()
            guard count <= NameLimits.manifestBytesMax else { return NameManifest() }
            var content = [UInt8](repeating: 0, count: count)
            let read = try content.withMutableBytes { content throws(HostFilesError) in try file.read(at: 0, into: content) }
            bytes = Array(content.prefix(read))
        } catch {
            if [.notFound, .io, .notADirectory].contains(error.code) { return NameManifest() }
            throw NameIndexError(error)
        }
        return (try? decode(bytes)) ?? NameManifest()
    }

    private func decode(_ bytes: [UInt8]) throws -> NameManifest {
        try bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes, "name index")
            guard try reader.bytes(8).elementsEqual(NameStore.manifestMagic), try reader.uint32() == NameStore.version,
                try reader.uint32() == 0
            else { throw reader.error(.unknown) }
            let id = try SegmentID(decoding: &reader)
            var plain = [UInt8](repeating: 0, count: max(0, reader.remaining - NameIndexCipher.sealBytes))
            let sealed = try reader.bytes(reader.remaining)
            let count = try plain.withUnsafeMutableBytes { plain in
                try pieceBinding(id, .manifest, 0).withUnsafeBytes { try cipher.open(sealed, associated: $0, into: plain) }
            }
            return try plain.withUnsafeBytes { try NameManifest(decoding: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }

    private func write(_ manifest: NameManifest) throws(NameIndexError) {
        let id = SegmentID.random()
        var writer = ByteWriter()
        writer.raw(NameStore.manifestMagic)
        writer.uint32(NameStore.version)
        writer.uint32(0)
        id.encode(into: &writer)
        writer.raw(
            manifest.encode().withUnsafeBytes { plain in
                pieceBinding(id, .manifest, 0).withUnsafeBytes { cipher.seal(plain, associated: $0) }
            })
        guard writer.count <= NameLimits.manifestBytesMax else {
            throw NameIndexError(.tooLarge, "more snapshots than the name index takes")
        }
        let temporary = directory.appending(id.hex + ".tmp")
        do {
            let file = try disk.createExclusively(temporary, expectedBytes: writer.count)
            try file.write(at: 0, writer.bytes)
            try file.sync()
            file.close()
            try disk.rename(temporary, to: directory.appending(NameStore.manifestName))
            try disk.syncDirectory(directory)
        } catch {
            try? disk.unlink(temporary)
            throw NameIndexError(error)
        }
    }

    /// Opens the segments of an index. Throws `damaged` when one is missing or cannot be used.
    func open(_ manifest: NameManifest) throws(NameIndexError) -> [NameSegment] {
        var segments: [NameSegment] = []
        for file in manifest.files { segments.append(try open(file)) }
        return segments
    }

    private func open(_ file: NameManifest.File) throws(NameIndexError) -> NameSegment {
        let segment = try NameSegment(disk, path(of: file.id), cipher)
        guard segment.id == file.id, segment.table.entries == file.entries else {
            throw NameIndexError(.damaged, "a file of the name index is not what its list says")
        }
        return segment
    }

    private func path(of id: SegmentID) -> RawPath { directory.appending(id.hex + ".names") }

    /// Runs `body` with the folder for itself. Throws `busy` when somebody else has it for longer than `waitingMilliseconds`.
    package func change<R>(
        waitingMilliseconds: Int, _ body: (inout NameIndexChange) throws(NameIndexError) -> R
    ) throws(NameIndexError) -> R {
        let lock = try lock(waitingMilliseconds: waitingMilliseconds)
        defer { lock?.release() }
        let manifest = try manifest()
        removeStrays(but: manifest)
        var change = NameIndexChange(self, manifest)
        return try body(&change)
    }

    /// Nil on a disk that has no locks. Two processes that change the index there at once may break it: then it is made anew.
    private func lock(waitingMilliseconds: Int) throws(NameIndexError) -> (any DiskLock)? {
        let lock: (any DiskLock)?
        do throws(HostFilesError) {
            try disk.makeDirectories(directory)
            lock = try disk.lock(directory, waitingMilliseconds: waitingMilliseconds)
        } catch {
            if error.code == .unsupported { return nil }
            throw NameIndexError(error)
        }
        guard let lock else { throw NameIndexError(.busy, "another process is bringing the name index up to date") }
        return lock
    }

    /// Removes what no list names: what a process left that died, or files of an index that was given up.
    private func removeStrays(but manifest: NameManifest) {
        let wanted = Set(manifest.files.map { RawPath($0.id.hex + ".names") } + [NameStore.manifestName])
        for name in (try? disk.list(directory)) ?? [] where !wanted.contains(name) {
            try? disk.unlink(directory.appending(name))
        }
    }

    /// Writes a segment; its name is durable when a manifest was written after it.
    func writeSegment(
        _ fill: (NameSegmentWriter) throws(NameIndexError) -> Void
    ) throws(NameIndexError) -> NameManifest.File {
        let temporary = directory.appending(SegmentID.random().hex + ".tmp")
        do throws(NameIndexError) {
            let writer = try NameSegmentWriter(disk, temporary, cipher)
            defer { writer.close() }
            try fill(writer)
            let bytes = try writer.finish()
            do { try disk.rename(temporary, to: path(of: writer.id)) } catch { throw NameIndexError(error) }
            return NameManifest.File(id: writer.id, bytes: bytes, entries: writer.entryCount)
        } catch {
            try? disk.unlink(temporary)
            throw error
        }
    }

    /// Removes a segment that no manifest names.
    func discard(_ file: NameManifest.File) { try? disk.unlink(path(of: file.id)) }

    /// Publishes another manifest, and removes the files that it does not name any more.
    func publish(_ manifest: NameManifest, in place: NameManifest) throws(NameIndexError) {
        try write(manifest)
        let kept = Set(manifest.files.map(\.id))
        for file in place.files where !kept.contains(file.id) { try? disk.unlink(path(of: file.id)) }
    }
}

/// A change of the index, under its lock.
package struct NameIndexChange {
    private let store: NameStore
    package private(set) var manifest: NameManifest

    init(_ store: NameStore, _ manifest: NameManifest) {
        self.store = store
        self.manifest = manifest
    }

    /// Forgets all: what follows makes the index anew.
    package mutating func reset() throws(NameIndexError) {
        let old = manifest
        manifest = NameManifest()
        try store.publish(manifest, in: old)
    }

    /// Opens every segment. Throws `damaged` when one cannot be used.
    package func verify() throws(NameIndexError) { _ = try store.open(manifest) }

    /// Gives up a snapshot that is not complete, so that it can be added again.
    package mutating func drop(_ ordinal: Int) { manifest.snapshots[ordinal].isDropped = true }

    /// Adds a snapshot. `fill` writes the paths that differ from those of its base, in order, each with one change of `ordinal`; it may
    /// find out that not all could be read. `live` are the snapshots that are still there.
    package mutating func add(
        _ snapshot: NameManifest.Snapshot, live: Set<SnapshotID>,
        _ fill: (NameSegmentWriter, _ ordinal: UInt32) throws(NameIndexError) -> (isComplete: Bool, isWanted: Bool)
    ) throws(NameIndexError) -> Bool {
        guard manifest.snapshots.count < NameLimits.ordinalsMax else {
            throw NameIndexError(.tooLarge, "more snapshots than the name index takes")
        }
        var added = snapshot
        var isWanted = true
        let file = try store.writeSegment { writer throws(NameIndexError) in
            let result = try fill(writer, UInt32(manifest.snapshots.count))
            added.isComplete = result.isComplete
            isWanted = result.isWanted
        }
        var next = manifest
        if isWanted { next.snapshots.append(added) }
        if isWanted, file.entries > 0 { next.files.append(file) }
        let replaced = NameManifest(files: manifest.files + [file])
        let before = manifest
        manifest = next
        if isWanted { try merge(live: live) }
        if manifest != before { try store.publish(manifest, in: replaced) } else { store.discard(file) }
        return isWanted
    }

    /// A segment is merged with all smaller ones once these together have a quarter of its size, so that there are few, and each
    /// name is written again about as often as there are sizes.
    private mutating func merge(live: Set<SnapshotID>) throws(NameIndexError) {
        let files = manifest.files.sorted { ($0.bytes, $0.id.hex) < ($1.bytes, $1.id.hex) }
        var count = 0
        var bytes = 0
        for (index, file) in files.enumerated() {
            if index > 0, file.bytes < 4 * bytes { count = index + 1 }
            bytes += file.bytes
        }
        let liveCount = manifest.snapshots.reduce(0) { $0 + (!$1.isDropped && live.contains($1.id) ? 1 : 0) }
        let hasManyDead = manifest.snapshots.count > 2 * liveCount + 256
        if hasManyDead { count = files.count }
        guard count > 1 || hasManyDead else { return }
        let history = count == files.count ? NameHistory(manifest, live: live) : nil
        let merged = Array(files.prefix(count))
        var cursors: [NameCursor] = []
        for segment in try store.open(NameManifest(files: merged)) {
            let cursor = NameCursor(segment, store.cipher)
            if try cursor.next() { cursors.append(cursor) }
        }
        let renumbered = history?.renumbered(manifest)
        let file = try store.writeSegment { writer throws(NameIndexError) in
            try mergeNames(&cursors, history, renumbered?.numbers ?? [], into: writer)
        }
        manifest.files = Array(files.dropFirst(count)) + (file.entries > 0 ? [file] : [])
        if let renumbered { manifest.snapshots = renumbered.snapshots }
    }
}

/// Writes the paths of all cursors in order, the changes of each joined; with a history, those of live snapshots alone.
private func mergeNames(
    _ cursors: inout [NameCursor], _ history: NameHistory?, _ numbers: [Int], into writer: NameSegmentWriter
) throws(NameIndexError) {
    var pruned: [NameChange] = []
    while !cursors.isEmpty {
        var least = [0]
        for index in cursors.indices.dropFirst() {
            let order = cursors[index].path.withUnsafeBytes { a in
                cursors[least[0]].path.withUnsafeBytes { comparePaths(a, $0) }
            }
            if order < 0 { least = [index] } else if order == 0 { least.append(index) }
        }
        let first = cursors[least[0]]
        var changes = first.changes
        if least.count > 1 {
            for index in least.dropFirst() { changes += cursors[index].changes }
            changes.sort { $0.ordinal < $1.ordinal }
        }
        if let history {
            history.pruned(changes, numbers, into: &pruned)
            changes = pruned
        }
        try first.path.withPathBytes { path throws(NameIndexError) in try writer.append(path, changes) }
        for index in least.reversed() where try !cursors[index].next() { cursors.remove(at: index) }
    }
}
