internal import BackupFormat
internal import Cryptography
internal import HostFiles

/// A pack, a page or the stub of a pack: what the sweep may move to the trash, and a commit back.
enum Stored: Hashable, CustomStringConvertible {
    case pack(PackID)
    case page(PageID)
    case stub(PackID)

    private static let pageSuffix = ".page"
    private static let stubSuffix = ".stub"

    /// Tells its content from another's. A stub does not say of which pack it is.
    var isRight: ProtectedFile.ContentCheck? {
        switch self {
        case .pack(let id): { content in content.withUnsafeBytes { MerkleTree(hashing: $0).packID == id } }
        case .page(let id): { content in PageID(content.withUnsafeBytes { sha256($0) }) == id }
        case .stub: nil
        }
    }

    var trashName: String {
        switch self {
        case .pack(let id): id.hex
        case .page(let id): id.hex + Stored.pageSuffix
        case .stub(let id): id.hex + Stored.stubSuffix
        }
    }

    /// From a name in the trash, or nil for a stranger.
    init?(trashName: RawPath) {
        let name = trashName.text
        if name.hasSuffix(Stored.pageSuffix) {
            guard let id = PageID(hex: String(name.dropLast(Stored.pageSuffix.utf8.count))) else { return nil }
            self = .page(id)
        } else if name.hasSuffix(Stored.stubSuffix) {
            guard let id = PackID(hex: String(name.dropLast(Stored.stubSuffix.utf8.count))) else { return nil }
            self = .stub(id)
        } else {
            guard let id = PackID(hex: name) else { return nil }
            self = .pack(id)
        }
    }

    var description: String {
        switch self {
        case .pack(let id): "pack \(id)"
        case .page(let id): "page \(id)"
        case .stub(let id): "the stub of pack \(id)"
        }
    }
}

extension Vault {
    /// How often a search goes through all folders: a sweep may be moving the file against the direction of the search.
    private static let searchRounds = 4

    /// Where it belongs.
    func home(_ stored: Stored) -> RawPath {
        switch stored {
        case .pack(let id): packFolder(id.value.firstByte).appending(id.hex)
        case .page(let id): pagesFolder.appending(id.hex)
        case .stub(let id): stubFolder(id.value.firstByte).appending(id.hex)
        }
    }

    /// The generations that have a folder in the trash, newest first.
    func generations() throws(HostFilesError) -> [UInt64] {
        try disk.list(trashFolder).compactMap { Vault.generation(of: $0) }.sorted(by: >)
    }

    private static func generation(of name: RawPath) -> UInt64? {
        let text = name.text
        // One spelling each, so that a folder is found under the name that its number gives.
        guard let number = UInt64(text), String(number) == text else { return nil }
        return number
    }

    func trashFolder(_ generation: UInt64) -> RawPath { trashFolder.appending(String(generation)) }

    /// Calls `body` with the path of a pack or page, wherever it is, until it does not throw `notFound`.
    func withFound<R>(_ stored: Stored, _ operation: String, _ body: (RawPath) throws(HostFilesError) -> R) throws(VaultError)
        -> R
    {
        if let result = try attempt(stored, operation, home(stored), body) { return result }
        for _ in 0..<Vault.searchRounds {
            for generation in try files(operation, stored, generations) {
                let path = trashFolder(generation).appending(stored.trashName)
                if let result = try attempt(stored, operation, path, body) { return result }
            }
            if let result = try attempt(stored, operation, home(stored), body) { return result }
        }
        throw VaultError(.notFound, operation, "\(stored)")
    }

    private func attempt<R>(
        _ stored: Stored, _ operation: String, _ path: RawPath, _ body: (RawPath) throws(HostFilesError) -> R
    ) throws(VaultError) -> R? {
        do { return try body(path) } catch {
            if error.code == .notFound { return nil }
            throw VaultError(error, operation, "\(stored)")
        }
    }

    /// Makes sure that a pack or page is where it belongs, bringing it back from the trash if need be.
    ///
    /// With the pending record that references it visible before, nobody removes it afterwards.
    func bringHome(_ stored: Stored) throws(VaultError) -> Presence {
        let home = home(stored)
        let operation = "look for"
        func isHome() throws(VaultError) -> Bool {
            try files(operation, stored) { () throws(HostFilesError) in try disk.status(home) } != nil
        }
        if try isHome() { return .home }
        for _ in 0..<Vault.searchRounds {
            for generation in try files(operation, stored, generations) {
                if try moveHome(stored, from: generation) { return .broughtBack }
            }
            if try isHome() { return .home }
        }
        return .missing
    }

    enum Presence { case home, broughtBack, missing }

    /// Moves a pack or page back from one generation of the trash. False if it is not there.
    func moveHome(_ stored: Stored, from generation: UInt64) throws(VaultError) -> Bool {
        let path = trashFolder(generation).appending(stored.trashName)
        guard try files("look for", stored, { () throws(HostFilesError) in try disk.status(path) }) != nil else { return false }
        try makeFolder(for: stored)
        let moved = try attempt(stored, "bring back", path) { path throws(HostFilesError) in
            try disk.rename(path, to: home(stored))
            return true
        }
        if moved == true { noteUnsynced(stored) }
        return moved ?? false
    }

    func noteUnsynced(_ stored: Stored) {
        state.withLock { state in
            switch stored {
            case .pack(let id):
                state.unsyncedFolders.insert(id.value.firstByte)
                // Another process may have made the folder, and not synced its name yet.
                state.isPacksFolderUnsynced = true
            case .page: state.isPagesFolderUnsynced = true
            case .stub(let id):
                state.unsyncedStubFolders.insert(id.value.firstByte)
                state.isStubsFolderUnsynced = true
            }
        }
    }

    /// Makes the folder in which a pack or a stub belongs.
    func makeFolder(for stored: Stored) throws(VaultError) {
        switch stored {
        case .pack(let id): try makeFolder(packFolder(id.value.firstByte))
        case .stub(let id):
            try makeFolder(stubsFolder)
            try makeFolder(stubFolder(id.value.firstByte))
        case .page: break
        }
    }

    private func makeFolder(_ folder: RawPath) throws(VaultError) {
        if state.withLock({ $0.knownFolders.contains(folder) }) { return }
        do { try disk.makeDirectory(folder) } catch {
            guard error.code == .exists else { throw VaultError(error, "make the folder", "\(folder)") }
        }
        state.withLock { state in _ = state.knownFolders.insert(folder) }
    }

    /// Makes the names of all packs and pages durable that were stored or brought back by this object.
    ///
    /// A commit does so by itself, for what it references. One thread does it at a time: one that found nothing left to do would
    /// else go on before it is done, or has failed. Those who wait are served together by the next.
    package func sync() throws(VaultError) {
        _ = syncTurn.wait { isTaken -> Bool? in
            if isTaken { return nil }
            isTaken = true
            return true
        }
        defer { syncTurn.withLock { $0 = false } }
        let (isRootUnsynced, folders, packs, pages) = state.withLock { state in
            defer {
                state.isRootUnsynced = false
                state.unsyncedFolders = []
                state.isPacksFolderUnsynced = false
                state.isPagesFolderUnsynced = false
            }
            return (
                state.isRootUnsynced, state.unsyncedFolders.sorted(), state.isPacksFolderUnsynced, state.isPagesFolderUnsynced
            )
        }
        let (stubFolders, stubs) = state.withLock { state in
            defer {
                state.unsyncedStubFolders = []
                state.isStubsFolderUnsynced = false
            }
            return (state.unsyncedStubFolders.sorted(), state.isStubsFolderUnsynced)
        }
        do throws(HostFilesError) {
            #if MUTANTS
                if Mutant.skipFolderSync.isOn { return }
            #endif
            for folder in isRootUnsynced ? [root, root.parent, root.parent.parent] : [] { try disk.syncDirectory(folder) }
            for byte in folders { try disk.syncDirectory(packFolder(byte)) }
            if packs { try disk.syncDirectory(packsFolder) }
            if pages { try disk.syncDirectory(pagesFolder) }
            for byte in stubFolders { try disk.syncDirectory(stubFolder(byte)) }
            if stubs {
                try disk.syncDirectory(stubsFolder)
                try disk.syncDirectory(root)
            }
        } catch {
            state.withLock { state in
                state.isRootUnsynced = state.isRootUnsynced || isRootUnsynced
                state.unsyncedFolders.formUnion(folders)
                state.isPacksFolderUnsynced = state.isPacksFolderUnsynced || packs
                state.isPagesFolderUnsynced = state.isPagesFolderUnsynced || pages
                state.unsyncedStubFolders.formUnion(stubFolders)
                state.isStubsFolderUnsynced = state.isStubsFolderUnsynced || stubs
            }
            throw VaultError(error, "sync", "\(root)")
        }
    }
}

extension RawPath {
    /// The name as text, for finding ids in it: not for showing, and quick. Bytes that are not UTF-8 match no id.
    var text: String { String(decoding: bytes, as: UTF8.self) }
}

extension Bytes32 {
    var firstByte: UInt8 { UInt8(truncatingIfNeeded: words.0 >> 56) }
}
