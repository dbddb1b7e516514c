internal import BackupFormat
internal import HostFiles
internal import PeerProtocol

/// What a persister has said to have made durable.
struct Acknowledgement: Hashable {
    var owner: OwnerID
    var isSnapshot: Bool
    var id: Bytes32
}

/// Acknowledged means durable: what a peer was told to be safe is on the disk after the power was cut. Looks at files alone.
extension Swarm {
    func note(_ asker: MachineIndex, _ holder: MachineIndex, _ request: Request, _ answer: Answer) {
        guard machines.indices.contains(holder), let model = machines.first(where: { $0.index == asker }),
            !machines[holder].isLiar
        else { return }
        let owner = owners[model.owner].id
        switch (request, answer) {
        case (.put(let put), .stored(let stored)) where put.kind == .pack && stored.isDurable:
            acknowledged[holder, default: []].append(Acknowledgement(owner: owner, isSnapshot: false, id: put.id.value))
        default: return
        }
    }

    /// After a crash, before the node starts again.
    func checkAcknowledged(_ machine: Machine) {
        guard !isTroubled(machine) else { return acknowledged[machine.index] = nil }
        for one in acknowledged[machine.index] ?? [] {
            let root: RawPath = RawPath("/home/vault/\(one.owner.hex)")
            let places =
                ["packs/\(one.id.hex.prefix(2))/\(one.id.hex)"] + trash(root, machine.disk).map { "trash/\($0)/\(one.id.hex)" }
            let isThere = places.contains { (try? machine.disk.status(root.appending($0))) != nil }
            if !isThere {
                violated(
                    "acknowledged means durable",
                    "\(machine.name) said to have pack \(one.id.hex.prefix(8)), and has lost it in a crash")
            }
        }
        count("checked what was acknowledged")
    }

    private func trash(_ root: RawPath, _ disk: SimulatedDisk) -> [String] {
        ((try? disk.list(root.appending("trash"))) ?? []).map { String(decoding: $0.bytes, as: UTF8.self) }
    }
}
