package import BackupFormat
package import Cryptography
package import HostFiles
package import Ledger
internal import NameIndex
internal import Synchronization
package import Vault

/// Whose archive it is, and what this device may do with it.
package struct ArchiveIdentity: Sendable {
    package let keys: PublisherKeys
    /// Nil on a write-only device: it can back up, and read nothing.
    package let owner: OwnerKey?
    package let node: NodeKey
    package let certificate: Certificate
    /// A write-only device keeps what it needs to skip unchanged files, and could read its own last backup with it.
    package let keepsMemo: Bool

    package init(keys: PublisherKeys, owner: OwnerKey?, node: NodeKey, certificate: Certificate, keepsMemo: Bool = false) {
        self.keys = keys
        self.owner = owner
        self.node = node
        self.certificate = certificate
        self.keepsMemo = keepsMemo
    }
}

/// An opened vault with what it takes to read and write one owner's snapshots in it.
package final class ArchiveStore: Sendable {
    package let vault: Vault
    package let index: ChunkIndex
    package let identity: ArchiveIdentity
    package let plan: MemoryPlan
    let memos: MemoStore
    /// Nil on a write-only device, which reads no trees.
    let names: NameStore?
    let disk: any Disk
    let cipher: ChunkCipher
    let footerCipher: FooterCipher
    /// The node's scratch folder, for listings that outgrow memory.
    let scratchDirectory: RawPath
    /// On ``disk``: what can be made anew.
    let ledgerDirectory: RawPath
    /// Held by a backup from its start to its end.
    let oneAtATime = Mutex<Void>(())
    let elsewhere = Mutex(Elsewhere())

    /// Opens the index and brings it in line with the packs that the vault really holds.
    package init(
        vault: Vault, disk: any Disk, ledgerDirectory: RawPath, scratchDirectory: RawPath, identity: ArchiveIdentity,
        plan: MemoryPlan
    ) throws(ArchiveError) {
        self.vault = vault
        self.identity = identity
        self.disk = disk
        self.plan = plan
        self.scratchDirectory = scratchDirectory
        self.ledgerDirectory = ledgerDirectory
        cipher = identity.keys.chunkCipher()
        footerCipher = identity.keys.footerCipher()
        names = identity.owner.map { owner in
            NameStore(disk: disk, directory: ledgerDirectory.appending("names"), cipher: owner.nameIndexCipher())
        }
        do {
            index = try ChunkIndex.open(disk: disk, directory: ledgerDirectory.appending("index"), memoryBytes: plan.indexBytes)
            memos = try MemoStore(disk: disk, directory: ledgerDirectory.appending("memo"))
        } catch {
            throw ArchiveError(.storage, "open the ledger", "\(error)")
        }
        try synchroniseIndex()
    }

    /// Tells the index which packs there are, here or elsewhere; those that it does not know are read into it. No backup is to rely on those
    /// that are known to be lost: the next one stores again what they held.
    package func synchroniseIndex() throws(ArchiveError) {
        var present: [PackID] = []
        do {
            try vault.forEachPack { (pack) throws(VaultError) in present.append(pack) }
            try vault.forEachStub { (pack) throws(VaultError) in present.append(pack) }
            present.sort()
            try index(unknown: index.synchronise(present: present))
            index.doubt(KnownLosses.read(disk, directory: ledgerDirectory).unreliable)
        } catch {
            throw ArchiveError(.storage, "bring the chunk index up to date", "\(error)")
        }
    }

    /// What a pack holds, from its own footer: repaired if need be, authenticated by the footer key.
    package func packEntries(_ pack: PackID) throws(ArchiveError) -> [PackEntry] {
        do {
            return try packEntries(pack, checked: false)
        } catch {
            return try packEntries(pack, checked: true)
        }
    }

    private func packEntries(_ pack: PackID, checked: Bool) throws(ArchiveError) -> [PackEntry] {
        func read(_ range: Range<Int>) throws(VaultError) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: range.count)
            let result = bytes.withUnsafeMutableBytes { buffer in
                Result { () throws(VaultError) in
                    if checked {
                        try vault.readPackChecked(pack, range, into: buffer)
                    } else {
                        try vault.readPack(pack, range, into: buffer)
                    }
                }
            }
            try result.get()
            return bytes
        }
        do {
            let packBytes = try vault.packBytes(pack)
            guard packBytes >= PackFrame.headerBytes + PackFrame.trailerBytes + PackFrame.footerOverheadBytes else {
                throw FormatError(.truncated, "pack")
            }
            let header = try read(0..<PackFrame.headerBytes)
            let trailer = try read(packBytes - PackFrame.trailerBytes..<packBytes)
            let sealedBytes = try trailer.withUnsafeBytes { trailer in
                try PackFrame.sealedFooterBytes(ofTrailer: trailer, packBytes: packBytes)
            }
            let start = packBytes - PackFrame.trailerBytes - sealedBytes
            let sealed = try read(start..<packBytes - PackFrame.trailerBytes)
            let footer = try sealed.withUnsafeBytes { sealed in
                try header.withUnsafeBytes { try footerCipher.open(sealed, associated: $0) }
            }
            return try footer.withUnsafeBytes { footer in
                try PackFrame.decodeFooter(footer, chunkBytes: start - PackFrame.headerBytes).entries
            }
        } catch {
            throw ArchiveError(.damaged, "read the contents of pack \(pack)", "\(error)")
        }
    }
}

extension ArchiveError {
    /// From a vault that could not store something.
    init(storing error: VaultError) { self.init(.storage, "write to the vault", "\(error)") }
}
