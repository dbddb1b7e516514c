internal import BackupFormat
internal import HostFiles

/// The names in a folder that a backup looks at, in byte order, one after the other. Used again for folder after folder.
final class FolderNames {
    struct Name {
        /// Valid until the next one is asked for.
        let name: UnsafeRawBufferPointer
        let type: EntryType?
    }

    private let listing: SortedListing
    private var selected: [MemoChunk]?
    private var position = 0

    init(_ listing: SortedListing) { self.listing = listing }

    /// Lists `folder`, or takes just the names of `selection`.
    func read(_ folder: DirectoryHandle, only selection: PathSelection?) throws(HostFilesError) {
        position = 0
        selected = selection?.names.map { MemoChunk($0.bytes) }
        if selected == nil { try listing.read(folder) }
    }

    /// Nothing is in the folder.
    var isEmpty: Bool { selected?.isEmpty ?? listing.isEmpty }

    func next() throws(HostFilesError) -> Name? {
        guard let selected else {
            guard let entry = try listing.next() else { return nil }
            return Name(name: entry.name, type: entry.typeHint)
        }
        guard position < selected.count else { return nil }
        defer { position += 1 }
        return Name(name: selected[position].bytes, type: nil)
    }

    func reset() {
        listing.reset()
        selected = nil
    }
}
