internal import BackupFormat
internal import HostFiles
internal import PeerProtocol

/// What has come for an owner's vault and does not stand in it yet. Files: the first bytes of objects, raw (`.pack`, `.page`,
/// `.record`), checked when they are whole; and whole records that wait for their commit (`.draft`), under parity.
///
/// All of it may be lost without harm: nothing of it but drafts is acknowledged, and a draft is put again.
struct IncomingFolder {
    private let disk: any Disk
    private let folder: RawPath

    /// Files of objects that have begun to come.
    static let partsMax = 256
    /// Drafts of one owner, and their files' bytes together. Beyond, the oldest goes.
    static let draftsMax = 32
    static let draftsBytesMax = 64 << 20
    /// Nobody goes on with what is older.
    static let ageSecondsMax: Int64 = 24 * 60 * 60

    private static let draftSuffix = ".draft"
    private static let newSuffix = ".new"

    init(_ disk: any Disk, _ folder: RawPath) {
        self.disk = disk
        self.folder = folder
    }

    /// The file of the first bytes of an object.
    static func name(_ key: ObjectKey) -> RawPath {
        let suffix =
            switch key.kind {
            case .pack: ".pack"
            case .page: ".page"
            case .snapshot, .draft: ".record"
            }
        return RawPath(key.id.hex + suffix)
    }

    private func path(_ key: ObjectKey) -> RawPath { folder.appending(IncomingFolder.name(key)) }
    private func draftPath(_ id: ObjectID) -> RawPath { folder.appending(id.hex + IncomingFolder.draftSuffix) }

    // MARK: Parts

    /// How many bytes of it are kept, from the first on; 0 if none.
    func bytes(of key: ObjectKey) throws(HostFilesError) -> Int { try disk.status(path(key))?.size ?? 0 }

    /// A new file with these first bytes. Answers whether other files had to go for it.
    func create(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer, except live: Set<RawPath>) throws(HostFilesError) -> Bool {
        let hasMadeRoom = try makeRoom(except: live)
        // No hint of the length: what is written to the page cache now is read from there soon.
        let file = try disk.createExclusively(path(key), expectedBytes: 0)
        defer { file.close() }
        try file.write(at: 0, bytes)
        return hasMadeRoom
    }

    func append(_ key: ObjectKey, at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(HostFilesError) {
        let file = try disk.openForUpdating(path(key))
        defer { file.close() }
        try file.write(at: offset, bytes)
    }

    /// Reads the whole of it.
    func read(_ key: ObjectKey, into buffer: UnsafeMutableRawBufferPointer) throws(HostFilesError) {
        let file = try disk.openForReading(path(key))
        defer { file.close() }
        guard try file.read(at: 0, into: buffer) == buffer.count else {
            throw HostFilesError(.notFound, "read", path: path(key), detail: "it is shorter than what was written")
        }
    }

    func remove(_ key: ObjectKey) throws(HostFilesError) { _ = try remove(path(key)) }

    /// False if it is not there. Durable when it returns: its bytes are given to others then, and must not come back with a power cut.
    private func remove(_ path: RawPath) throws(HostFilesError) -> Bool {
        do throws(HostFilesError) { try disk.unlink(path) } catch {
            if error.code == .notFound { return false }
            throw error
        }
        try disk.syncDirectory(folder)
        return true
    }

    /// Answers whether files were removed.
    private func makeRoom(except live: Set<RawPath>) throws(HostFilesError) -> Bool {
        do throws(HostFilesError) { try disk.makeDirectory(folder) } catch {
            if error.code != .exists { throw error }
        }
        let files = try list { !$0.hasSuffix(IncomingFolder.draftSuffix) && !$0.hasSuffix(IncomingFolder.newSuffix) }
        let idle = files.filter { !live.contains($0.name) }
        let room = max(0, IncomingFolder.partsMax - 1 - (files.count - idle.count))
        var hasRemoved = false
        for file in idle.dropLast(room) {
            if try remove(folder.appending(file.name)) { hasRemoved = true }
        }
        return hasRemoved
    }

    // MARK: Drafts

    /// The bytes of a draft's file; nil if there is none.
    func draftFileBytes(_ id: ObjectID) throws(HostFilesError) -> Int? { try disk.status(draftPath(id))?.size }

    /// A draft, rebuilt where it is damaged. Throws `notFound` where there is none.
    func draft(_ id: ObjectID) throws(HostFilesError) -> [UInt8] {
        try ProtectedFile.content(disk, draftPath(id), limit: Limits.snapshotRecordBytesMax)
    }

    /// Keeps a draft, durable on return. Answers by how many bytes its file is longer than the one before, and whether other files had
    /// to go.
    func storeDraft(
        _ id: ObjectID, _ bytes: UnsafeRawBufferPointer
    ) throws(HostFilesError) -> (change: Int, hasMadeRoom: Bool) {
        var hasMadeRoom = try makeRoom(except: [])
        if try makeDraftRoom(ProtectedFile.fileBytes(contentBytes: bytes.count)) { hasMadeRoom = true }
        let new = folder.appending(id.hex + IncomingFolder.newSuffix)
        if try remove(new) { hasMadeRoom = true }
        let before = try draftFileBytes(id) ?? 0
        let after = try ProtectedFile.write(bytes, disk, new)
        try disk.rename(new, to: draftPath(id))
        try sync()
        return (after - before, hasMadeRoom)
    }

    /// Makes the names of drafts durable.
    func sync() throws(HostFilesError) {
        try disk.syncDirectory(folder)
        try disk.syncDirectory(folder.parent)
    }

    private func makeDraftRoom(_ newBytes: Int) throws(HostFilesError) -> Bool {
        var drafts = try list { $0.hasSuffix(IncomingFolder.draftSuffix) }[...]
        var bytes = drafts.reduce(0) { $0 + min($1.bytes, IncomingFolder.draftsBytesMax) }
        var hasRemoved = false
        while drafts.count >= IncomingFolder.draftsMax || bytes + newBytes > IncomingFolder.draftsBytesMax,
            let oldest = drafts.popFirst()
        {
            bytes -= min(oldest.bytes, IncomingFolder.draftsBytesMax)
            if try remove(folder.appending(oldest.name)) { hasRemoved = true }
        }
        return hasRemoved
    }

    /// Answers whether it was there.
    func removeDraft(_ id: ObjectID) throws(HostFilesError) -> Bool { try remove(draftPath(id)) }

    // MARK: Upkeep

    private struct File {
        let name: RawPath
        let bytes: Int
        let modifiedSeconds: Int64
    }

    /// The files whose names are such, the oldest first.
    private func list(_ isWanted: (String) -> Bool) throws(HostFilesError) -> [File] {
        var found: [File] = []
        for name in try disk.list(folder) where isWanted(String(decoding: name.bytes, as: UTF8.self)) {
            guard let status = try disk.status(folder.appending(name)), !status.isDirectory else { continue }
            found.append(File(name: name, bytes: status.size, modifiedSeconds: status.modifiedSeconds))
        }
        return found.sorted { ($0.modifiedSeconds, $0.name) < ($1.modifiedSeconds, $1.name) }
    }

    /// Removes what nobody has touched for a day, but for these.
    func removeOld(now: Int64, except live: Set<RawPath>) throws(HostFilesError) {
        guard try disk.status(folder) != nil else { return }
        for file in try list({ _ in true }) where !live.contains(file.name) {
            let isOld = elapsed(since: file.modifiedSeconds, now: now) >= IncomingFolder.ageSecondsMax
            if isOld { _ = try remove(folder.appending(file.name)) }
        }
    }
}
