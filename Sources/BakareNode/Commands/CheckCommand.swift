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
            """)

    @Option(help: ArgumentHelp("Also read the packs themselves; with =5%, so many of them.", valueName: "percent"))
    var readData: Percentage?

    @Flag(help: "Mend what is damaged.")
    var repair = false

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let node = try session.node(writing: false)
        let running = repair ? try? RunningNode.find(session.home) : nil
        let report = try session.run("checking") { progress, _ throws(NodeError) in
            try node.check(readDataFraction: readData?.fraction ?? 0, repair: repair, now: currentTime(), progress) { losses in
                fetch(losses, running, progress, session)
            }
        }
        session.answer(report.json)
        for text in report.repaired { session.say("mended: \(text)") }
        for text in report.repairable { session.say("damaged, can be mended: \(text)") }
        for text in report.lost { session.say("LOST: \(text)") }
        session.tell(
            "\(describeCount(report.snapshots, "snapshot")), \(describeCount(report.packs, "pack")), "
                + "\(describeBytes(report.bytesRead)) read  in \(describeSeconds(report.seconds))")
        if report.elsewherePacks > 0 {
            session.tell(
                "\(describeCount(report.elsewherePacks, "pack")) of these are with peers only\(readData == nil ? "" : ", and were not read"): "
                    + "the running node has peers prove daily that they have them")
        }
        if report.isClean {
            session.tell(report.repaired.isEmpty ? "all is well" : "all is well again")
            return .done
        }
        if !report.repairable.isEmpty {
            session.warn(repair ? "some damage could not be mended" : "run `check --repair` to mend the damage")
        }
        if !report.lost.isEmpty {
            session.warn("what is lost comes back with the next `backup`, where the files are still there")
        }
        return .failed
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
struct Percentage: ExpressibleByArgument {
    let fraction: Double
    init?(argument: String) {
        let digits = argument.hasSuffix("%") ? argument.dropLast() : argument[...]
        guard let value = Double(digits), value > 0, value <= 100 else { return nil }
        fraction = value / 100
    }
}
