internal import Archive
internal import BackupFormat
internal import BackupNode
internal import Cryptography
internal import Daemon
internal import HostFiles
internal import Vault

/// What stands in the vaults once all has healed, looked at byte by byte.
extension Swarm {
    /// A pack that its own checksums find right has the bytes that its name says.
    func checkNames(_ machine: Machine) {
        guard !machine.isLiar, !misdirected.contains(machine.index) else { return }
        for owner in owners {
            guard let vault = vault(of: owner.id, on: machine) else { continue }
            for pack in packs(vault) {
                guard let bytes = content(of: pack, vault), bytes.withUnsafeBytes({ MerkleTree(hashing: $0).packID }) != pack
                else { continue }
                violated("what is stored is what its name says", "\(machine.name): pack \(pack.hex.prefix(8)) is another")
            }
        }
        count("compared packs with their names")
    }

    /// No two boxes are sealed with one nonce.
    func checkNonces(_ machine: Machine) {
        let result = machine.run { [self] in
            guard let node = try machine.node() else { return }
            // Where packs were rewritten or sent twice, one box stands in several.
            var boxes: [[UInt8]: [UInt8]] = [:]
            for pack in packs(node.store.vault) {
                guard let bytes = content(of: pack, node.store.vault) else { continue }
                // Another's bytes under its name: on a machine where a write went astray, that is no finding.
                guard bytes.withUnsafeBytes({ MerkleTree(hashing: $0).packID }) == pack else { continue }
                for entry in try node.store.packEntries(pack) {
                    let box = bytes[Int(entry.offset)..<Int(entry.offset + entry.sealedBytes)]
                    let (nonce, tag) = (Array(box.prefix(Swarm.nonceBytes)), Array(box.suffix(Swarm.tagBytes)))
                    if let other = boxes.updateValue(tag, forKey: nonce), other != tag {
                        return violated("no nonce is used twice", "\(machine.name): in pack \(pack.hex.prefix(8))")
                    }
                }
            }
        }
        if case .failure(let error) = result { violated("no nonce is used twice", "\(machine.name): \(error)") }
        count("compared nonces")
    }

    private static let nonceBytes = 24
    private static let tagBytes = 16

    /// A snapshot on a machine that an order forbids which can have reached it, in words; nil if there is none.
    func forgottenSnapshot(on machine: Machine) -> String? {
        guard !machine.isLiar else { return nil }
        for (index, owner) in owners.enumerated() where index == machine.owner || areFriends(index, machine.owner) {
            // Orders go on only among those who speak to each other.
            let devices = machines.filter { device in
                device.owner == index && device.isUp
                    && !blocked.contains { $0.contains(device.index) || $0.contains(machine.index) }
            }
            guard index == machine.owner || machine.isFirst(in: machines), let vault = vault(of: owner.id, on: machine) else {
                continue
            }
            for id in (try? vault.snapshots()) ?? [] {
                let forbidding = devices.filter { $0.core?.orders.forbids(id) == true }.map(\.name)
                guard !forbidding.isEmpty else { continue }
                let place = "\(machine.name): \(id.hex.prefix(8)) of owner \(index)"
                return "\(place), as \(forbidding.joined(separator: " and ")) have the order"
            }
        }
        return nil
    }

    private func packs(_ vault: Vault) -> [PackID] {
        var found: [PackID] = []
        try? vault.forEachPack { found.append($0) }
        return found.sorted()
    }

    /// Nil where the vault's own checksums find it damaged.
    private func content(of pack: PackID, _ vault: Vault) -> [UInt8]? {
        guard let count = try? vault.packBytes(pack) else { return nil }
        var bytes = [UInt8](repeating: 0, count: count)
        let isRead = bytes.withUnsafeMutableBytes { buffer in (try? vault.readPackChecked(pack, 0..<count, into: buffer)) != nil }
        return isRead ? bytes : nil
    }
}
