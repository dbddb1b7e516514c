"""A file that three places keep, and back: nodes with two peers beside a grid of Tahoe-LAFS with shares 2 of 3."""

from harness.errors import BenchError
from harness.nodes import with_servers
from harness.report import MIB, seconds, table
from harness.rounds import file_hash
from harness.tahoe import Grid, find_tahoe
from parts.peers import Household, note, recover

SHARES_NEEDED, SHARES = 2, 3
PEERS = 2


def run(context):
    report = context.report
    size = (16 if context.quick else 256) * MIB
    report.title("tahoe", f"one file of {size / MIB:.0f} MiB of random bytes; all nodes on this machine, over loopback")
    tahoe = find_tahoe()
    if not tahoe:
        report.say("skipped: no tahoe: .ci/deps bench could not install tahoe-lafs from PyPI (that takes Python 3.9 to 3.12)")
        return
    if not context.bakare:
        report.say("bakare-node is left out: nothing to measure")
        return
    report.say(context.workspace.plain([tahoe, "--version"]).splitlines()[0] + f", {SHARES_NEEDED} of {SHARES} shares")
    tree = context.data.noise(1, size)
    context.data.need(size * 8)
    works = {}
    for _ in range(context.runs):
        context.data.warm(tree)
        with Household(context, PEERS) as house:
            note(works, "put", "bakare", house.backup(tree.path))
            recover(context, tree, house, works)
        context.data.warm(tree)
        put_and_get(context, tahoe, tree, works)
    # What a newcomer waits for: everything fetched from a peer, then restored.
    works["get"] = {"bakare": works["recover, restore"]["bakare"], "tahoe": works["get"]["tahoe"]}
    rows = [
        [work, tool, seconds(cost.wall), f"{cost.spread * 100:.0f}", seconds(cost.cpu), f"{size / 1e6 / cost.wall:,.0f}"]
        for work in ("put", "get") for tool, cost in works[work].items()
    ]
    report.say(table(["work", "tool", "wall s", "±%", "cpu s", "MB/s"], rows))
    for work in ("put", "get"):
        report.keep(work, {tool: [run.record() for run in costs.runs] for tool, costs in works[work].items()})
        report.at_least(f"{work}: throughput / tahoe", works[work]["tahoe"].wall / works[work]["bakare"].wall, 3)


def put_and_get(context, tahoe, tree, works):
    """A new grid each time: one that has the file would not take it again."""
    file, target = next(tree.path.iterdir()), context.workspace.root / "gotten"
    with Grid(context, tahoe, SHARES_NEEDED, SHARES) as grid:
        put = with_servers(grid.servers, lambda: grid.put(file))
        note(works, "put", "tahoe", put)
        note(works, "get", "tahoe", with_servers(grid.servers, lambda: grid.get(put.output.strip(), target)))
    if file_hash(target) != file_hash(file):
        raise BenchError("tahoe gave back something else than it was given")
    context.workspace.remove(target)
