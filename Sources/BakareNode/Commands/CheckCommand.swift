internal import Archive
internal import ArgumentParser
internal import BackupNode
internal import Daemon
internal import HostFiles

struct CheckCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Verify vault, ledger and keys, and mend them.",
        discussion: """
            Ends with 0 if all is well or was mended, with 1 if damage is left. With --repair
            and a running node, what parity cannot rebuild is fetched from peers.

            With --read-data, packs that are with peers only come from there, one at a time,
            and are not kept. Ends with 2 if no peer that was reached has some of them: that
            is no loss as long as others may have them.
            """)

    @Option(
        help: ArgumentHelp("Also read the packs themselves; with =5%, so many of them.", valueName: "percent"),
        transform: Percentage.init)
    var readData: Percentage?

    @Flag(help: "Mend what is damaged.")
    var repair = false

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let node = try session.node(writing: false)
        let running = repair ? try? RunningNode.find(session.home) : nil
        let report = try session.run("checking") { progress, _ throws(NodeError) in
            try node.check(
                readDataFraction: readData?.fraction ?? 0, repair: repair, now: currentTime(), progress,
                witness: readData == nil ? nil : PeerWitness(node, progress)
            ) { losses in fetch(losses, running, progress, session) }
        }
        session.answer(report.json)
        for text in report.repaired { session.say("mended: \(text)") }
        for text in report.repairable { session.say("damaged, can be mended: \(text)") }
        for text in report.lost { session.say("LOST: \(text)") }
        session.tell(
            "\(describeCount(report.snapshots, "snapshot")), \(describeCount(report.packs, "pack")), "
                + "\(describeBytes(report.bytesRead)) read  in \(describeSeconds(report.seconds))")
        tellOfPeers(report, session)
        if report.isClean {
            if !report.evidence.unknown.isEmpty {
                session.tell("all that could be read is well")
                return .partly
            }
            session.tell(report.repaired.isEmpty ? "all is well" : "all is well again")
            return .done
        }
        if !report.repairable.isEmpty {
            session.warn(repair ? "some damage could not be mended" : "run `check --repair` to mend the damage")
        }
        if !report.lost.isEmpty {
            session.warn(
                (repair ? "what is lost comes back with" : "after `check --repair`, what is lost comes back with")
                    + " the next `backup`, where the files are still there")
        }
        return .failed
    }

    /// What came of the packs that are with peers only.
    private func tellOfPeers(_ report: CheckReport, _ session: Session) {
        let evidence = report.evidence
        if report.elsewherePacks > 0 {
            let count = describeCount(report.elsewherePacks, "pack")
            session.tell(
                readData == nil
                    ? "\(count) of these are with peers only: the running node has peers prove daily that they have them"
                    : "\(count) of these are with peers only: \(describeCount(evidence.shown)) came whole from there, "
                        + "\(describeBytes(evidence.bytes))")
        }
        for fault in evidence.faults {
            let device = fault.device.map { " (\($0.hex.prefix(8)))" } ?? ""
            session.say("DAMAGED at \(fault.peer)\(device): pack \(fault.pack.hex): \(fault.reason)")
        }
        let lost = Set(evidence.lost).union(evidence.unknown)
        if evidence.faults.contains(where: { !lost.contains($0.pack) }) {
            session.warn(
                "where another peer has the pack whole, `bakare-node start` finds the damage by itself, and sends it again")
        }
        if !evidence.unknown.isEmpty {
            session.warn(
                "\(describeCount(evidence.unknown.count, "pack")) could not be read: no peer that is reachable has them, "
                    + "and others may (`bakare-node peers`); run it again when these are connected")
        }
    }
}

/// Brings what is lost here from peers; what to report of it.
private func fetch(_ losses: VaultLosses, _ running: RunningNode?, _ progress: Progress, _ session: Session) -> [String] {
    guard let running else {
        session.warn("something is lost here; with `bakare-node start` running, it would be asked of peers")
        return []
    }
    do throws(NodeError) {
        let report = try running.fetch(
            packs: losses.packs, snapshots: losses.snapshots, isStopping: { progress.isStopping }, progress: { _ in })
        guard report.packs + report.snapshots > 0 else { return [] }
        return ["\(describeCount(report.packs, "pack")) and \(describeCount(report.snapshots, "snapshot")) came from peers"]
    } catch {
        session.warn("\(error)")
        return []
    }
}

/// `5%` to `100%`, on the command line.
struct Percentage {
    let fraction: Double

    init(_ argument: String) throws {
        let digits = argument.hasSuffix("%") ? argument.dropLast() : argument[...]
        guard let value = Double(digits), value > 0, value <= 100 else {
            throw ValidationError("a share of the packs is more than 0% and at most 100%, as in 5%")
        }
        fraction = value / 100
    }
}
