internal import Archive
internal import ArgumentParser
internal import BackupNode
internal import Daemon
internal import HostFiles

struct PeersCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "peers", abstract: "Who is there, and who holds what.",
        discussion: """
            HOLDS is what the peer keeps for this node, of what it would keep at most; KEPT
            is what this node keeps for it. Nodes that are only announced on the network are
            `discovered`: nothing is exchanged with them until they are paired. Where names
            repeat, the first digits of the fingerprint stand behind them (--verbose: all).
            """)

    @Flag(help: "Show it again every second, until Ctrl-C.")
    var watch = false

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let keys = try session.keys()
        guard watch else {
            try show(session, keys)
            return .done
        }
        let progress = Progress()
        let pause = ConditionLock(())
        let isTerminal = Standard.isTerminal(1)
        try Interruption.during(progress) { () throws(NodeError) in
            while !progress.isStopping {
                if isTerminal, !global.json { Standard.output.write("\u{1b}[H\u{1b}[2J") }
                try show(session, keys)
                Standard.output.flush()
                for _ in 0..<10 where !progress.isStopping { _ = pause.wait(milliseconds: 100) { _ -> Void? in nil } }
            }
        }
        return .done
    }

    private func show(_ session: Session, _ keys: HomeKeys) throws(NodeError) {
        let (peers, isRunning) = try session.peers(keys)
        session.answer(.array(peers.map(\.json)))
        if !isRunning { session.say("The node does not run; this is what it knew. Start it with `bakare-node start`.") }
        guard !peers.isEmpty else {
            session.say("no peers yet; pair with `bakare-node invite` here and `join` there")
            return
        }
        var table = Table([
            ("NAME", .left), ("ID", .left), ("TRUST", .left), ("STATE", .left), ("HOLDS", .right), ("OF", .right),
            ("KEPT", .right), ("PROVEN", .left), ("ADDRESS", .left),
        ])
        let now = currentTime() / 1_000_000_000
        func ago(_ seconds: Int64?) -> String {
            guard let seconds else { return "-" }
            let passed = max(0, now - seconds)
            switch passed {
            case ..<60: return "now"
            case ..<7200: return "\(passed / 60) min ago"
            case ..<172_800: return "\(passed / 3600) h ago"
            default: return "\(passed / 86_400) days ago"
            }
        }
        // Machines that were set up from one image have one name.
        let times = Dictionary(peers.map { ($0.name, 1) }, uniquingKeysWith: +)
        func name(_ peer: PeerReport) -> String {
            guard times[peer.name] ?? 0 > 1, let digits = peer.fingerprint?.split(separator: " ").first else { return peer.name }
            return "\(peer.name) (\(digits)…)"
        }
        for peer in peers {
            let isKnown = peer.trust != .discovered
            let state = peer.isDamaged ? "damaged" : peer.isOnline ? "here" : "seen \(ago(peer.lastSeen))"
            table.add([
                name(peer), String(peer.id.hex.prefix(8)), peer.trust.rawValue, state,
                isKnown ? describeBytes(Int(clamping: peer.usedBytes)) : "-",
                isKnown && peer.offeredBytes > 0 ? describeBytes(Int(clamping: peer.offeredBytes)) : "-",
                peer.keptBytes.map { describeBytes(Int(clamping: $0)) } ?? "-", ago(peer.lastProven), peer.addresses.first ?? "",
            ])
        }
        for line in table.lines() { session.say(line) }
        guard global.verbose else { return }
        for peer in peers {
            if let fingerprint = peer.fingerprint { session.say("\(name(peer))  \(fingerprint)") }
        }
    }
}
