import BackupFormat
import Cryptography
import HostFiles
import TestSupport
import Vault

/// An owner, a device, and things to store: made once, since keys and hashes cost more than the vault does.
struct VaultWorld: Sendable {
    struct Pack: Sendable {
        let id: PackID
        let bytes: [UInt8]
    }

    let owner: OwnerID
    let node: NodeKey
    let certificate: Certificate
    /// Of various lengths.
    let packs: [Pack]

    static let shared = VaultWorld()

    init() {
        let key = OwnerKey.generate()
        owner = key.id
        node = NodeKey.generate()
        certificate = key.certify(node, name: "laptop", permissions: .all, serial: 1)
        var random = Choices(seed: 5)
        packs = (0..<12).map { index in
            let bytes = (0..<[0, 1, 300, 4096, 5000, 9000][index % 6] + index).map { _ in UInt8(truncatingIfNeeded: random.next())
            }
            return Pack(id: bytes.withUnsafeBytes { MerkleTree(hashing: $0).packID }, bytes: bytes)
        }
    }

    func pack(_ id: PackID) -> Pack? { packs.first { $0.id == id } }

    func page(_ indices: [Int]) throws -> PackListPage { try PackListPage(packs: indices.map { packs[$0].id }) }

    func record(_ sequence: UInt64, _ pages: [PackListPage], revision: UInt64 = 0) -> SnapshotRecord {
        var record = SnapshotRecord(
            owner: owner, device: node.id, sequence: sequence, sealed: [1, 2, 3], revision: revision,
            pages: pages.map { SnapshotRecord.Page(id: $0.id, packCount: $0.packs.count) }, certificate: certificate)
        signSnapshot(&record, with: node)
        return record
    }

    func forget(_ ids: [SnapshotID]) -> ForgetOrder { signForget(ids, certificate: certificate, with: node) }

    func store(_ vault: Vault, _ indices: [Int]) throws {
        for index in indices { try packs[index].bytes.withPackBytes { try vault.store(pack: packs[index].id, bytes: $0) } }
    }

    /// Uploads what a commit asks for until it is committed.
    func publish(_ vault: Vault, _ record: SnapshotRecord, _ pages: [PackListPage]) throws {
        for _ in 0..<50 {
            do {
                switch try vault.commit(record: record.encode()) {
                case .committed: return
                case .rejected(let reason):
                    if try vault.snapshotRecord(record.id).revision > record.revision { return }
                    throw Failure(text: reason)
                case .missing(let packs, let missingPages):
                    for page in pages where missingPages.contains(page.id) { try vault.storePage(page.encode()) }
                    for id in packs { try pack(id)?.bytes.withPackBytes { try vault.store(pack: id, bytes: $0) } }
                }
            } catch let error as VaultError where error.code == .busy {
                continue
            }
        }
        throw Failure(text: "never committed")
    }

    struct Failure: Error { let text: String }
}

/// What must hold of any vault, found out without the vault's own checks where that is possible.
struct VaultChecker {
    let vault: Vault

    /// Everything that a committed snapshot needs is there and right. Returns the committed snapshots.
    func requireWhole() throws -> [SnapshotID] {
        let ids = try vault.snapshots()
        for id in ids {
            let record = try vault.snapshotRecord(id)
            for entry in record.pages {
                for pack in try vault.page(entry.id).packs {
                    var bytes = [UInt8](repeating: 0, count: try vault.packBytes(pack))
                    try bytes.withUnsafeMutableBytes { _ = try vault.readPackChecked(pack, 0..<$0.count, into: $0) }
                    guard bytes.withUnsafeBytes({ MerkleTree(hashing: $0).packID }) == pack else {
                        throw VaultWorld.Failure(text: "pack \(pack) has wrong bytes")
                    }
                }
            }
        }
        return ids
    }

    /// What lies in the vault's folders beyond the committed snapshots and what they reference.
    func garbage(_ disk: SimulatedDisk, _ root: RawPath) throws -> [RawPath] {
        var wanted: Set<String> = ["reserve"]
        for id in try vault.snapshots() {
            wanted.insert("snapshots/\(id.hex)")
            for entry in try vault.snapshotRecord(id).pages {
                wanted.insert("pages/\(entry.id.hex)")
                for pack in try vault.page(entry.id).packs { wanted.insert("packs/\(pack.hex.prefix(2))/\(pack.hex)") }
            }
        }
        let prefix = root.appending(vault.owner.hex).description + "/"
        return disk.files(under: root).map { $0.path }.filter { !wanted.contains(String($0.description.dropFirst(prefix.count))) }
    }
}

extension Array<UInt8> {
    func withPackBytes(_ body: (UnsafeRawBufferPointer) throws -> Bool) throws { _ = try withUnsafeBytes { try body($0) } }
}
