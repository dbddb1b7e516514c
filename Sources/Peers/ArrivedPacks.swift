internal import BackupFormat
internal import Cryptography

/// What is remembered of the packs that came last, until the first question for a proof.
///
/// Each was hashed as it came, and its file is durable: that the disk gives its bytes back is shown by a part of them then, and by all of
/// them at each later question. Memory: about 600 bytes a pack, at most ``countMax`` of them.
struct ArrivedPacks {
    static let countMax = 4096
    /// Those that came last, and those that came before them: when there are too many, the older half goes.
    private var newer: [PackID: MerkleOutline] = [:]
    private var older: [PackID: MerkleOutline] = [:]

    mutating func add(_ pack: PackID, _ outline: MerkleOutline) {
        older[pack] = nil
        newer[pack] = outline
        if newer.count >= ArrivedPacks.countMax / 2 {
            older = newer
            newer = [:]
        }
    }

    /// Once for each arrival.
    mutating func take(_ pack: PackID) -> MerkleOutline? {
        newer.removeValue(forKey: pack) ?? older.removeValue(forKey: pack)
    }
}
