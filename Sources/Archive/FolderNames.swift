internal import BackupFormat
internal import HostFiles

/// The names in a folder that a backup looks at, in byte order, one after the other. Used again for folder after folder.
final class FolderNames {
    struct Name {
        /// Valid until the next one is asked for.
        let name: UnsafeRawBufferPointer
        let type: EntryType?
    }

    /// What ``read(_:only:)`` reads into: that of one thread.
    let scratch: ListingScratch
    private let listing: SortedListing
    private var selected: [MemoChunk]?
    private var position = 0

    init(_ scratch: ListingScratch, budgetBytes: Int, spillFolder: RawPath) {
        self.scratch = scratch
        listing = SortedListing(scratch: scratch, budgetBytes: budgetBytes, spillFolder: spillFolder)
    }

    /// Lists `folder`, or takes just these names.
    func read(_ folder: DirectoryHandle, only names: [RawPath]?) throws(HostFilesError) {
        position = 0
        selected = names?.map { MemoChunk($0.bytes) }
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
