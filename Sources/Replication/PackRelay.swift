package import BackupFormat
internal import Cryptography
internal import HostFiles
package import PeerProtocol

/// Gives a pack that is not here, whole and checked, for as long as the second argument runs. Throws `local` when nobody can give it now.
package typealias PackRelay =
    @Sendable (PackID, (_ bytes: [UInt8]) throws(ReplicationError) -> Void) throws(ReplicationError) -> Void

/// A pack from the first of these peers that has it, in memory: its bytes are what its id names.
package func fetchPack(
    _ pack: PackID, from links: [any PeerLink], progress: ReplicationProgress = ReplicationProgress()
) throws(ReplicationError) -> [UInt8] {
    var reason = "no other peer is connected"
    for link in links {
        let found = ConditionLock<[UInt8]?>(nil)
        let download = PackDownload([pack], links: 1, progress) { (_, bytes) throws(ReplicationError) in
            guard bytes.count <= Limits.packBytesMax, MerkleTree(hashing: bytes).packID == pack else {
                throw PackDownload.untrue(pack)
            }
            found.withLock { $0 = Array(bytes) }
        }
        do throws(ReplicationError) {
            if let lost = try download.run([link])[pack] { reason = lost }
            if let bytes = found.withLock({ $0 }) { return bytes }
        } catch {
            if error.code == .stopped { throw error }
            reason = error.description
        }
    }
    throw ReplicationError(.local, "pack \(pack) is with peers only, and none that is connected gives it: \(reason)")
}

/// Gives a pack as one peer has it to `body`, whole, in memory, and checked: its bytes are what its id names.
///
/// Throws `notFound` where the peer does not have it, or not whole, `untrue` where it sends other bytes, `cutOff` when the session is over.
package func withPack(
    _ pack: PackID, from link: any PeerLink, progress: ReplicationProgress = ReplicationProgress(),
    _ body: @escaping @Sendable (UnsafeRawBufferPointer) -> Void
) throws(ReplicationError) {
    let download = PackDownload([], links: 1, progress) { (_, bytes) throws(ReplicationError) in
        guard MerkleTree(hashing: bytes).packID == pack else { throw PackDownload.untrue(pack) }
        body(bytes)
    }
    try download.only(pack, link)
}
