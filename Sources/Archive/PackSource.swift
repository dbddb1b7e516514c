package import BackupFormat

/// Where packs are read that this node does not hold itself. Called by several threads at once.
package protocol PackSource: Sendable {
    /// Reads bytes `range` of a pack into the start of `buffer`. They may be wrong: the caller checks what it gets. With `isAgain` it has
    /// found them wrong, and asks for others.
    ///
    /// Throws `unreachable` when nobody can be asked who may have the pack, `away` when some cannot, `damaged` when nobody has it.
    func read(
        _ pack: PackID, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer, isAgain: Bool
    ) throws(ArchiveError)

    /// Tells in which order packs will be wanted, as far as that is known.
    func expect(_ packs: [PackID])
}
