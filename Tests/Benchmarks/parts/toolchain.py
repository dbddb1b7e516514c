"""The installed Swift toolchain: first backup, nothing changed, restore."""

from harness.report import mb, works_table
from harness.rounds import Rounds


def run(context):
    report, tree = context.report, context.data.toolchain()
    report.title("toolchain", f"{tree.path}: {tree}")
    report.say(f"warm cache, median of {context.runs}, tools in turn; each restore compared with the source")
    context.data.need(tree.bytes * 6)
    rounds = Rounds(context, tree)
    rounds.first()
    rounds.unchanged()
    rounds.restores()
    report.say(works_table(rounds.works, rounds.stored))
    rounds.bar("first backup", "restic", 0.35)
    stored = rounds.stored["first backup"]
    if "bakare" in stored:
        home = rounds.stores["bakare"].home_bytes()
        report.say(f"bakare-node's whole home, with ledger and keys, after the runs: {mb(home)} MB")
        if "restic" in stored:
            report.at_most("first backup: stored / restic", stored["bakare"] / stored["restic"], 1.12)
    rounds.bar("restore", "restic", 0.45)
    rounds.peak_bar()
    rounds.keep()
    rounds.remove()
