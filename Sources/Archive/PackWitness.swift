package import BackupFormat

/// A copy of a pack that a peer should have, and has not as it should be.
package struct PackFault: Sendable, Hashable {
    package let pack: PackID
    /// The peer's name, for people.
    package let peer: String
    /// Nil for one that no owner has certified.
    package let device: DeviceID?
    package let reason: String

    package init(pack: PackID, peer: String, device: DeviceID?, reason: String) {
        self.pack = pack
        self.peer = peer
        self.device = device
        self.reason = reason
    }
}

/// What peers have shown of packs that are with them only.
package struct PackEvidence: Sendable, Hashable {
    /// Packs that came whole, and their bytes.
    package var shown = 0
    package var bytes = 0
    /// Copies that are missing or wrong where they should be, be the pack whole elsewhere or not.
    package var faults: [PackFault] = []
    /// Packs that nobody showed, and that somebody may have who could not be asked.
    package var unknown: [PackID] = []
    /// Packs that nobody has who could have them: all were asked.
    package var lost: [PackID] = []

    package init() {}
}

/// Shows packs that only peers have, for `check`.
package protocol PackWitness: Sendable {
    /// Has each of these packs come from a peer: one at a time, in memory, whole, and checked against its id before `each` sees it.
    ///
    /// Throws `interrupted` alone: a peer that is away or lies is no failure but evidence.
    func examine(
        _ packs: [PackID], each: @escaping @Sendable (PackID, UnsafeRawBufferPointer) -> Void
    ) throws(ArchiveError) -> PackEvidence
}
