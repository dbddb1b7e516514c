"""Random bytes, which no compression and no deduplication makes smaller."""

from harness.report import works_table
from harness.rounds import Rounds

# Two parity blocks for 64 of content, and the tables that go with them.
PARITY_SHARE = 0.033


def run(context):
    report, tree = context.report, context.data.incompressible()
    report.title("incompressible", f"random data, {tree}")
    report.say(f"warm cache, median of {context.runs}, tools in turn; each restore compared with the source")
    rounds = Rounds(context, tree)
    rounds.first()
    rounds.restores()
    report.say(works_table(rounds.works, rounds.stored))
    rounds.bar("first backup", "restic", 1.0)
    stored = rounds.stored["first backup"].get("bakare")
    if stored is not None:
        report.at_most("first backup: stored / size", stored / tree.bytes, 1.005 + PARITY_SHARE, lambda v: f"{v:.4f}")
    rounds.peak_bar()
    rounds.keep()
    rounds.remove()
