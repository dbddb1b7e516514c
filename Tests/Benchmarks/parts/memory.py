"""Everything again in a memory control group that kills beyond its limit: the default limit, and a small one."""

import re

from harness.groups import MemoryGroup
from harness.report import MIB, mib, seconds, table
from harness.rounds import compare

# The setting in bakare.toml (none: the default), and the limit of the group, in MiB.
LIMITS = ((None, 256), ("64MiB", 64))


def outcome(cost, kills):
    if kills:
        return "killed: out of memory"
    if cost.signal:
        return f"signal {cost.signal}"
    return "done" if cost.exit == 0 else f"exit {cost.exit}"


def run(context):
    report, data = context.report, context.data
    report.title("memory", "bakare-node in a memory control group")
    if not context.bakare:
        report.say("bakare-node is left out: nothing to measure")
        return
    trees = {"toolchain": data.toolchain(), "tiny": data.tiny(context.files), "large file": data.large_file()}
    report.say("peak: the largest resident set; group: the most charged to the group, page cache included, which the kernel")
    report.say("lets grow to the limit; hits: how often it then had to make room, which harms nothing")
    rows = []
    for setting, limit in LIMITS:
        for label, tree in trees.items():
            rows += measure(context, label, tree, setting, limit)
    report.say(table(["data", "work", "limit", "wall s", "cpu s", "peak MiB", "group MiB", "hits", "outcome"], rows))
    report.keep("rows", rows)


def measure(context, label, tree, setting, limit):
    """One source under one limit: a row for each work. What cannot follow a failure is left out."""
    store = context.bakare.fresh(memory=setting)
    target = context.workspace.folder("restored")
    works = {
        "first backup": lambda groups: store.backup(tree.path, groups=groups, must_succeed=False),
        "nothing changed": lambda groups: store.backup(tree.path, groups=groups, must_succeed=False),
        "restore": lambda groups: store.restore(tree.path, target, groups=groups, must_succeed=False),
    }
    rows, peak, ended = [], 0, "done"
    for work, act in works.items():
        with MemoryGroup(limit * MIB) as group:
            cost = act([group.path])
            ended = outcome(cost, group.kills)
            rows.append([
                label, work, f"{limit} MiB", seconds(cost.wall), seconds(cost.cpu), mib(cost.peak_bytes), mib(group.max_bytes),
                f"{group.limit_hits:,}", ended,
            ])
        peak = max(peak, cost.peak_bytes)
        if ended != "done":
            context.report.say(f"{label}, {work}, {limit} MiB: {ended}: {last_line(cost.errors)}")
            break
    if ended == "done":
        compare(context.workspace, tree.path, target, "bakare")
    context.report.holds(f"{label}: all works in {limit} MiB", ended, "done", ended == "done")
    context.report.at_most(f"{label}: peak memory", peak / MIB, limit, lambda v: f"{v:.0f}", " MiB")
    context.workspace.remove(target)
    store.remove()
    return rows


def last_line(text):
    return re.sub(r"\s+", " ", (text.strip().splitlines() or ["no message"])[-1])[:200]
