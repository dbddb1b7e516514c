internal import Archive
internal import ArgumentParser
internal import BackupNode
internal import HostFiles

struct SweepCommand: NodeCommand {
    static let configuration = CommandConfiguration(
        commandName: "sweep", abstract: "Free what no snapshot needs.",
        discussion: """
            Packs that nothing needs go to the vault's trash, and out of it after the days
            that `trash_days` in bakare.toml says. Safe beside running backups.
            """)

    @Flag(help: "Only say what would be freed.")
    var dryRun = false

    @Flag(help: "As the running node does each day: leave to your other devices the packs that are theirs to rewrite.")
    var daily = false

    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws -> ExitStatus {
        let node = try session.node(writing: true)
        let report = try session.run("sweeping") { progress, _ throws(NodeError) in
            try node.sweep(dryRun: dryRun, scope: daily ? .ownTurn : .everything, now: currentTime(), progress)
        }
        session.answer(report.json)
        let verb = dryRun ? "would move" : "moved"
        session.tell(
            "\(verb) \(describeCount(report.removedPacks, "pack")), \(describeBytes(report.removedBytes)), to the trash"
                + "  in \(describeSeconds(report.seconds))")
        if report.rewrittenPacks > 0 {
            session.tell("\(describeCount(report.rewrittenPacks, "pack")) rewritten without what is dead")
        }
        session.tell("\(describeBytes(report.purgedBytes)) freed from the trash, \(describeBytes(report.keptBytes)) in use")
        return .done
    }
}
