internal import BackupFormat

/// What `status` says of peers.
struct PeerStanding {
    private let peers: [PeerReport]
    /// Packs by the number of peers on which they are proven.
    private let packs: [Int: Int]
    private let target: Int
    /// Sets of sources with a number of their own, and that.
    private let targets: [(name: String, count: Int)]
    private let isRunning: Bool

    init(_ peers: [PeerReport], _ packs: [Int: Int], _ configuration: Configuration, isRunning: Bool) {
        self.peers = peers.filter { $0.trust == .own || $0.trust == .friend }
        self.packs = packs
        target = configuration.replicas
        targets = configuration.sourceSets.compactMap { set in
            set.replicas.flatMap { $0 == configuration.replicas ? nil : (name: set.name, count: $0) }
        }
        self.isRunning = isRunning
    }

    /// Those that keep something for this node, or would.
    private var persisters: [PeerReport] { peers.filter { $0.offeredBytes > 0 || $0.usedBytes > 0 } }
    private var kept: [PeerReport] { peers.filter { ($0.keptBytes ?? 0) > 0 || ($0.grantedBytes ?? 0) > 0 } }

    var lines: [(title: String, text: String)] {
        func list(_ texts: [String], none: String) -> String { texts.isEmpty ? none : texts.joined(separator: "; ") }
        let counts = packs.sorted { $0.key < $1.key }.map { count, packs in "\(describeCount(packs, "pack")) on \(count)" }
        return [
            ("node", isRunning ? "runs" : "does not run; `bakare-node start` connects it with others"),
            ("peers", list(peers.map { "\($0.name) (\($0.isOnline ? "here" : "away"))" }, none: "none; `invite` pairs with one")),
            ("replicas", list(counts, none: "nothing to copy") + ", of \(targetText) besides this node"),
            (
                "placement",
                list(persisters.map { "\($0.name) \(describe($0.usedBytes)) of \(describe($0.offeredBytes))" }, none: "no peer")
            ),
            (
                "kept here",
                list(
                    kept.map { "\($0.name) \(describe($0.keptBytes ?? 0)) of \(describe($0.grantedBytes ?? 0))" },
                    none: "nothing for others")
            ),
        ]
    }

    private var targetText: String {
        targets.isEmpty ? "\(target)" : "\(target) (\(targets.map { "\($0.name) \($0.count)" }.joined(separator: ", ")))"
    }

    func warnings(hasBackups: Bool, unprotected: Int) -> [String] {
        var warnings: [String] = []
        let unproven = persisters.filter { $0.snapshots > 0 && $0.lastProven == nil }
        if hasBackups, !isRunning, !unproven.isEmpty, persisters.allSatisfy({ $0.lastProven == nil }) {
            let says = unproven.count == 1 ? "says to have" : "say to have"
            warnings.append(
                "\(unproven.map(\.name).joined(separator: ", ")) \(says) these backups: it counts once `bakare-node start` has had it proven"
            )
        } else if hasBackups, persisters.allSatisfy({ $0.snapshots == 0 }) {
            warnings.append("not protected: no other node holds these backups")
        } else if unprotected > 0 {
            let fewer = targets.isEmpty ? "fewer than \(target) other nodes" : "fewer other nodes than `replicas` says"
            warnings.append("\(describeCount(unprotected, "snapshot")) on \(fewer)")
        }
        for peer in peers where peer.isDamaged {
            warnings.append("\(peer.name) has lost some of what it kept; it is sent again when it is here")
        }
        return warnings
    }

    func members(isProtected: Bool) -> [(key: String, value: JSON)] {
        func quotas(_ peers: [PeerReport], _ used: (PeerReport) -> UInt64, _ quota: (PeerReport) -> UInt64) -> JSON {
            .array(
                peers.map { peer in
                    .object([
                        "id": .string(peer.id.hex), "name": .string(peer.name),
                        "used_bytes": .int(Int(clamping: used(peer))), "quota_bytes": .int(Int(clamping: quota(peer))),
                    ])
                })
        }
        return [
            (
                "packs_by_replicas",
                .object(packs.sorted { $0.key < $1.key }.map { (key: "\($0.key)", value: .int($0.value)) })
            ),
            ("placement", .array(persisters.map { .string($0.id.hex) })),
            ("quota_given", quotas(kept, { $0.keptBytes ?? 0 }, { $0.grantedBytes ?? 0 })),
            ("quota_taken", quotas(persisters, { $0.usedBytes }, { $0.offeredBytes })),
            ("running", .bool(isRunning)), ("protected", .bool(isProtected)),
        ]
    }

    /// Without a limit of its own, what the disk has.
    private func describe(_ bytes: UInt64) -> String { describeBytes(Int(clamping: bytes)) }
}
