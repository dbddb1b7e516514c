"""A watched source of very many tiny files: one is saved, and is on a peer; and nothing happens."""

import random
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from harness.errors import BenchError
from harness.nodes import Node
from harness.report import MIB, mib, seconds, table
from harness.workspace import TICKS_PER_SECOND

SAVES = 8
PAUSE_SECONDS = 4
IDLE_SECONDS = 60
FIRST_SECONDS = 1800
SAVE_SECONDS = 60


def run(context):
    report, data = context.report, context.data
    if not context.bakare:
        report.title("continuous", "bakare-node is left out: nothing to measure")
        return
    tree = data.tiny(context.files)
    report.title("continuous", f"{tree.path}: {tree}; a node that watches it, and a peer, over loopback")
    with ExitStack() as stack:
        publisher, peer = Node(context, "publisher"), Node(context, "peer")
        publisher.settings.write_text(
            publisher.settings.read_text() + f'[sources]\npaths = ["{tree.path}"]\nevery = "continuous"\n')
        # Pairing needs nodes that run; the first walk begins with them.
        server = stack.enter_context(publisher.start())
        peer.pair(publisher)
        other = stack.enter_context(peer.start(server))
        method = server.line(r"watching \S+ by (\w+)", FIRST_SECONDS)[1]
        first = server.line(r"backed up \S+ in (.*)$", FIRST_SECONDS)[1]
        await_snapshots(peer, 1, FIRST_SECONDS)
        time.sleep(IDLE_SECONDS / 4)
        report.say(f"watched by {method}; the first backup, after {first} (as the node says it), is on the peer")
        idle = idle_share(server, 5 if context.quick else IDLE_SECONDS)
        waits, costs, peers = saves(tree, server, other, peer)
        rows = [
            ["saved until on the peer, s", seconds(median(waits)), seconds(max(waits))],
            ["processor time of the publisher, s", seconds(median(costs)), seconds(max(costs))],
            ["processor time of the peer, s", seconds(median(peers)), seconds(max(peers))],
        ]
        report.say(table(["one file saved", "median", "largest"], rows, left=1))
        report.say(f"idle: {idle * 100:.2f} % of a processor; peak memory of the node {mib(server.peak_bytes)} MiB")
        report.keep("saves", {"wait": waits, "cpu": costs, "peer_cpu": peers, "idle": idle, "peak_bytes": server.peak_bytes})
        report.at_most("one file saved: until on a peer", max(waits), 5, seconds, " s")
        report.at_most("one file saved: processor time", max(costs), 0.3, seconds, " s")
        report.at_most("idle: share of a processor", idle, 0.01)
        report.at_most("peak memory of the node", server.peak_bytes / MIB, 256, lambda v: f"{v:.0f}", " MiB")
        for node in (publisher, peer):
            node.remove()


def cost(server):
    """Processor seconds of a node, with those of commands that it has run."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICKS_PER_SECOND


def idle_share(server, length):
    before, start = cost(server), time.monotonic()
    time.sleep(length)
    return (cost(server) - before) / (time.monotonic() - start)


def snapshots(node):
    """How many snapshots a node's disk has of others: by its files, whatever it says."""
    return sum(1 for path in Path(node.home, "vault").glob("*/snapshots/*") if ".tmp" not in path.name)


def await_snapshots(node, count, within):
    deadline = time.monotonic() + within
    while snapshots(node) < count:
        if time.monotonic() > deadline:
            raise BenchError(f"{node.name} has no {count} snapshots within {within} s")
        time.sleep(0.01)


def saves(tree, server, other, peer):
    """Adds a line to one file after the other, each time when all is quiet."""
    chooser = random.Random(1)
    folders = sorted(path for path in tree.path.glob("*/*/*") if path.is_dir()) or [tree.path]
    waits, costs, peers = [], [], []
    for number in range(SAVES):
        before, cpu, peer_cpu = snapshots(peer), cost(server), cost(other)
        folder = chooser.choice(folders)
        file = chooser.choice(sorted(path for path in folder.iterdir() if path.is_file()))
        with open(file, "a") as saved:
            saved.write(f"line {number}\n")
        start = time.monotonic()
        await_snapshots(peer, before + 1, SAVE_SECONDS)
        waits.append(time.monotonic() - start)
        # What follows it, as its proof, counts as well.
        time.sleep(PAUSE_SECONDS)
        costs.append(cost(server) - cpu)
        peers.append(cost(other) - peer_cpu)
    return waits, costs, peers
