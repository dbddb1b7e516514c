"""What a running node reaches with peers on this machine, beside restic with `rclone serve restic`."""

import json
import time
from contextlib import ExitStack

from harness.errors import BenchError
from harness.groups import MemoryGroup
from harness.nodes import Node, ResticAway, with_servers
from harness.report import MIB, mib, works_table
from harness.rounds import compare
from harness.workspace import Cost, Costs

SMALL_FILES = 300_000
UPLOADERS = 20
MEMORY_BYTES = 256 * MIB


def run(context):
    report, data = context.report, context.data
    tree = data.toolchain()
    report.title("peers", f"{tree.path}: {tree}; all nodes and servers on this machine, over loopback")
    if not context.bakare:
        report.say("bakare-node is left out: nothing to measure")
        return
    data.need(tree.bytes * 5)
    works = first_backups_and_restores(context, tree)
    works.update(nothing_changed(context))
    report.say(works_table(works, {}))
    for work, costs in works.items():
        report.keep(work, {name: [run.record() for run in cost.runs] for name, cost in costs.items()})
    foreign = max(cost.foreign for costs in works.values() for cost in costs.values())
    if foreign > 0.2:
        report.say(f"note: others took up to {foreign * 100:.0f} % of the machine meanwhile: do not trust these figures")
    bars(report, works)
    uploads(context)


def bars(report, works):
    def wall(work, tool="bakare"):
        return works[work][tool].wall if tool in works.get(work, {}) else None

    for work in ("first backup, 1 peer", "recover, restore"):
        if wall(work, "restic"):
            report.at_most(f"{work}: time / restic", wall(work) / wall(work, "restic"), 0.6)
    report.at_most("first backup, 2 peers: time / 1 peer", wall("first backup, 2 peers") / wall("first backup, 1 peer"), 1.6)
    more = wall("nothing changed, 1 peer") - wall("nothing changed, alone")
    report.at_most("nothing changed: more with a peer", more, 0.2, lambda v: f"{v:.3f}", " s")


class Household:
    """A publisher that runs, and its peers, paired and connected."""

    def __init__(self, context, peers):
        self.stack = ExitStack()
        self.publisher = Node(context, "publisher", replicas=peers)
        self.server = self.stack.enter_context(self.publisher.start())
        self.peers, self.servers = [], []
        for number in range(peers):
            peer = Node(context, f"peer-{number}")
            peer.pair(self.publisher)
            self.peers.append(peer)
            self.servers.append(self.stack.enter_context(peer.start(self.server)))
        self.publisher.await_peers(peers)

    def backup(self, source):
        cost = with_servers([self.server, *self.servers], lambda: self.publisher.backup(source, "--wait"))
        summary = json.loads(cost.output)
        if not summary["protected"] or summary["errors"]:
            raise BenchError(f"backup --wait: {summary['replicas']} replicas, {len(summary['errors'])} files could not be read")
        return cost

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()
        for node in [self.publisher, *self.peers]:
            node.remove()


def note(works, work, tool, cost):
    works.setdefault(work, {}).setdefault(tool, Costs()).runs.append(cost)


def first_backups_and_restores(context, tree):
    works = {}
    for number in range(context.runs):
        context.data.warm(tree)
        with Household(context, 1) as house:
            note(works, "first backup, 1 peer", "bakare", house.backup(tree.path))
            recover(context, tree, house, works)
        if "restic" in context.tools:
            away = ResticAway(context.workspace, number)
            context.data.warm(tree)
            try:
                note(works, "first backup, 1 peer", "restic", with_servers([away.server], lambda: away.backup(tree.path)))
                target = context.workspace.folder("restored")
                note(works, "recover, restore", "restic", with_servers([away.server], lambda: away.restore(target)))
                compare(context.workspace, tree.path, target, "restic")
            finally:
                away.remove()
        context.data.warm(tree)
        with Household(context, 2) as house:
            note(works, "first backup, 2 peers", "bakare", house.backup(tree.path))
    return works


def recover(context, tree, house, works):
    """The publisher is lost; an empty home gets everything from the peer."""
    key = context.workspace.root / "recovery-key"
    key.write_text(house.publisher.run("key", "export"))
    house.server.stop()
    new, target = Node(context, "recovered", empty=True), context.workspace.folder("restored")
    peer, server = house.peers[0], house.servers[0]
    fetched = with_servers([server], lambda: context.workspace.measured(
        new.command("recover", "--key", key, "--peer", server.address)))
    restored = with_servers([server], lambda: context.workspace.measured(
        new.command("restore", "latest", "--target", target)))
    compare(context.workspace, tree.path, target, "bakare")
    note(works, "(recover)", "bakare", fetched)
    note(works, "(restore)", "bakare", restored)
    note(works, "recover, restore", "bakare", Cost(
        wall=fetched.wall + restored.wall, cpu=fetched.cpu + restored.cpu,
        peak_bytes=max(fetched.peak_bytes, restored.peak_bytes), read_bytes=fetched.read_bytes + restored.read_bytes,
        written_bytes=fetched.written_bytes + restored.written_bytes, exit=0, signal=0,
        foreign=max(fetched.foreign, restored.foreign)))
    new.remove()


def nothing_changed(context):
    files = min(context.files, SMALL_FILES)
    tree, works = context.data.tiny(files), {}
    with Household(context, 1) as house:
        house.backup(tree.path)
        alone = Node(context, "alone")
        alone.backup(tree.path)
        for _ in range(max(context.runs, 5)):
            note(works, "nothing changed, alone", "bakare", alone.backup(tree.path))
            note(works, "nothing changed, 1 peer", "bakare", house.backup(tree.path))
        alone.remove()
    return works


def uploads(context):
    """Many nodes bring all that they have to one, whose memory is limited."""
    size = (8 if context.quick else 64) * MIB
    source, report = context.data.noise(UPLOADERS, size), context.report
    context.data.need(source.bytes * 3)
    keeper = Node(context, "keeper")
    nodes = []
    with MemoryGroup(MEMORY_BYTES) as group:
        with ExitStack() as stack:
            server = stack.enter_context(keeper.start(groups=[group.path]))
            for number, file in enumerate(sorted(source.path.iterdir())):
                node = Node(context, f"uploader-{number}")
                node.run("backup", file, "--quiet")
                node.pair(keeper)
                nodes.append((node, file))
            began = time.monotonic()
            for node, _ in nodes:
                stack.enter_context(node.start(server))
            for node, _ in nodes:
                node.await_peers(1)
            waiting = [stack.enter_context(node.begin("backup", file, "--quiet", "--wait")) for node, file in nodes]
            for one in waiting:
                if one.process.wait(600) != 0:
                    raise BenchError(f"{one.name}: exit {one.process.returncode}: {one.log.read_text()[-300:]}")
            wall = time.monotonic() - began
            charged, hits = group.max_bytes, group.limit_hits
            alive = server.process.poll() is None
        kills = group.kills
        peak = json.loads(server.result.read_text())["peak_bytes"]
    report.say(
        f"{UPLOADERS} peers bring {size / MIB:.0f} MiB each to one node in {MEMORY_BYTES / MIB:.0f} MiB at once: {wall:.1f} s, "
        f"peak {mib(peak)} MiB, group {mib(charged)} MiB, {hits:,} hits, {kills} kills")
    report.keep("uploads", {"wall": wall, "peak_bytes": peak, "group_bytes": charged, "hits": hits, "kills": kills})
    ended = "done" if alive and not kills else "killed"
    report.holds(f"{UPLOADERS} uploads at once into 256 MiB", ended, "done", ended == "done")
    for node, _ in nodes:
        node.remove()
    keeper.remove()
