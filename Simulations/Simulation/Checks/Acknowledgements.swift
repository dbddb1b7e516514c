internal import BackupFormat
internal import Cryptography
internal import HostFiles
internal import PeerProtocol

/// What a persister has said to have made durable.
struct Acknowledgement: Hashable {
    var owner: OwnerID
    var isSnapshot: Bool
    var id: Bytes32
}

/// Acknowledged means durable: what a peer was told to be safe is on the disk after the power was cut. Looks at files, and reads the latest.
extension Swarm {
    func note(_ asker: MachineIndex, _ holder: MachineIndex, _ request: Request, _ answer: Answer) {
        guard machines.indices.contains(holder), let model = machines.first(where: { $0.index == asker }),
            !machines[holder].isLiar
        else { return }
        let owner = owners[model.owner].id
        switch (request, answer) {
        case (.put(let put), .stored(let stored)) where put.kind == .pack && stored.isDurable:
            acknowledged[holder, default: []].append(Acknowledgement(owner: owner, isSnapshot: false, id: put.id.value))
        case (.commit(let commit), .outcome(let outcome)) where outcome.result == .committed:
            guard let id = snapshot(of: commit.draft, owner, on: machines[holder]) else { return }
            acknowledged[holder, default: []].append(Acknowledgement(owner: owner, isSnapshot: true, id: id.value))
        default: return
        }
    }

    /// The committed snapshot whose record has that hash.
    private func snapshot(of draft: ObjectID, _ owner: OwnerID, on machine: Machine) -> SnapshotID? {
        guard let vault = vault(of: owner, on: machine), let ids = try? vault.snapshots() else { return nil }
        // What was committed just now is the latest by its file's time.
        let folder = RawPath("/home/vault/\(owner.hex)/snapshots")
        let dated = ids.map { id in (id, (try? machine.disk.status(folder.appending(id.hex)))?.modifiedSeconds ?? 0) }
        return dated.sorted { $0.1 > $1.1 }.map(\.0).first { id in
            guard let bytes = try? vault.snapshotRecord(id).encode() else { return false }
            return bytes.withUnsafeBytes { sha256($0) } == draft.value
        }
    }

    /// After a crash, before the node starts again.
    func checkAcknowledged(_ machine: Machine) {
        guard !isTroubled(machine) else { return acknowledged[machine.index] = nil }
        for one in acknowledged[machine.index] ?? [] {
            let root: RawPath = RawPath("/home/vault/\(one.owner.hex)")
            if one.isSnapshot {
                let id = SnapshotID(one.id)
                let isForgotten = owners.contains { $0.snapshots[id]?.isForgotten == true }
                if !isForgotten, (try? machine.disk.status(root.appending("snapshots").appending(one.id.hex))) == nil {
                    violated(
                        "acknowledged means durable",
                        "\(machine.name) said to have committed \(one.id.hex.prefix(8)), and has lost it in a crash")
                }
                continue
            }
            let isThere = places(of: PackID(one.id), of: one.owner, on: machine).contains {
                (try? machine.disk.status($0)) != nil
            }
            if !isThere {
                violated(
                    "acknowledged means durable",
                    "\(machine.name) said to have pack \(one.id.hex.prefix(8)), and has lost it in a crash")
            }
        }
        // Of some, every byte.
        for one in (acknowledged[machine.index] ?? []).filter({ !$0.isSnapshot }).suffix(Swarm.readAfterCrash)
        where !isWhole(PackID(one.id), of: one.owner, on: machine) {
            violated(
                "acknowledged means durable",
                "\(machine.name) said to have pack \(one.id.hex.prefix(8)), and lost a part of it in a crash")
        }
        count("checked what was acknowledged")
    }

    private static let readAfterCrash = 4
}
