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
    /// Of various lengths; from number 12 on they look like packs, of data but for the last, which holds trees.
    let packs: [Pack]
    static let framedPacks = 12..<18

    static let shared = VaultWorld()

    init() {
        let key = OwnerKey.generate()
        owner = key.id
        node = NodeKey.generate()
        certificate = key.certify(node, name: "laptop", permissions: .all, serial: 1)
        var random = Choices(seed: 5)
        func some(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
        func pack(_ bytes: [UInt8]) -> Pack { Pack(id: bytes.withUnsafeBytes { MerkleTree(hashing: $0).packID }, bytes: bytes) }
        let plain = (0..<12).map { index in pack(some([0, 1, 300, 4096, 5000, 9000][index % 6] + index)) }
        let framed = VaultWorld.framedPacks.map { index in
            let sealedBytes = [41, 81, 4300][index % 3]
            return pack(
                PackFrame.header(index == 17 ? .tree : .data) + some([0, 500, 9000, 40][index % 4]) + some(sealedBytes)
                    + PackFrame.trailer(sealedFooterBytes: sealedBytes))
        }
        packs = plain + framed
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

    /// Everything that a committed snapshot needs is there and right. Returns the committed snapshots. With `allowsStubs`, a right stub
    /// will do.
    func requireWhole(allowsStubs: Bool = false) throws -> [SnapshotID] {
        let ids = try vault.snapshots()
        for id in ids {
            let record = try vault.snapshotRecord(id)
            for entry in record.pages {
                for pack in try vault.page(entry.id).packs {
                    if allowsStubs, try vault.isElsewhere(pack) {
                        try requireRight(try vault.stub(pack), of: pack)
                        continue
                    }
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

    func requireRight(_ stub: PackStub, of pack: PackID) throws {
        guard let bytes = VaultWorld.shared.pack(pack)?.bytes, stub.packBytes == bytes.count, stub.isProven,
            stub.header == Array(bytes.prefix(16)), stub.tail == Array(bytes.suffix(stub.tail.count))
        else { throw VaultWorld.Failure(text: "the stub of pack \(pack) is wrong") }
    }

    /// What lies in the vault's folders beyond the committed snapshots and what they reference.
    func garbage(_ disk: SimulatedDisk, _ root: RawPath) throws -> [RawPath] {
        var wanted: Set<String> = ["reserve"]
        for id in try vault.snapshots() {
            wanted.insert("snapshots/\(id.hex)")
            for entry in try vault.snapshotRecord(id).pages {
                wanted.insert("pages/\(entry.id.hex)")
                for pack in try vault.page(entry.id).packs {
                    for folder in ["packs", "stubs"] { wanted.insert("\(folder)/\(pack.hex.prefix(2))/\(pack.hex)") }
                }
            }
        }
        let prefix = root.appending(vault.owner.hex).description + "/"
        return disk.files(under: root).map { $0.path }.filter { !wanted.contains(String($0.description.dropFirst(prefix.count))) }
    }
}

extension Array<UInt8> {
    func withPackBytes(_ body: (UnsafeRawBufferPointer) throws -> Bool) throws { _ = try withUnsafeBytes { try body($0) } }
}
