"""Millions of tiny files: first backup, and nothing changed against the least that finding that out can cost."""

from harness.report import works_table
from harness.rounds import Rounds


def run(context):
    report, workspace = context.report, context.workspace
    tree = context.data.tiny(context.files)
    report.title("tiny", f"{tree}, generated")
    report.say(f"20 to 300 bytes each; warm cache, median of {context.runs}, tools in turn, borg once; restore compared")
    walk = [workspace.program("walk"), tree.path]
    rounds = Rounds(context, tree, once=("borg",))
    rounds.first()

    def walked():
        """The walk's turn. One that is not counted goes before it, so that all find the same warm cache."""
        workspace.plain(walk)
        rounds.note("nothing changed", "walk", workspace.measured(walk))

    rounds.unchanged(before=walked)
    rounds.restores(tools=("bakare",), runs=1)
    report.say(works_table(rounds.works, rounds.stored))
    rounds.bar("first backup", "restic", 0.3)
    rounds.bar("nothing changed", "restic", 0.15)
    rounds.bar("nothing changed", "walk", 2.0)
    rounds.peak_bar()
    rounds.keep()
    rounds.remove()
