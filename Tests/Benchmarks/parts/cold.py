"""A cold page cache: how near a first backup comes to the speed at which `dd` reads the same files."""

import os
from contextlib import nullcontext
from pathlib import Path

from harness.groups import ReadLimitGroup
from harness.report import seconds, table
from harness.rounds import compare
from harness.workspace import CORES, Costs

BLOCK = "4M"
SHARE_MIN = 0.8
# With more than this share of all cores busy, with it or with others' work, the processor is what limits a run, and not the disk.
CPU_BOUND_SHARE = 0.85


def chill(context, tree):
    """Empties the page cache. With --quick only of these files, so as not to disturb others on the machine."""
    os.sync()
    if not context.quick:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
        return
    for folder, _, names in os.walk(tree.path):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                continue
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def reference(context, tree, flat):
    """The command that only reads: dd where the files are few and large, else the walk, which reads as dd does."""
    if not flat:
        return [context.workspace.program("walk"), "--read", tree.path]
    files = sorted(tree.path.iterdir())
    script = f'for file; do dd if="$file" of=/dev/null bs={BLOCK} status=none || exit; done'
    return ["sh", "-c", script, "sh", *files]


def measure(context, tree, command, group):
    """Both in turn, from a cold cache each time; bakare into a new home."""
    reading, backup = Costs(), Costs()
    groups = [group.path] if group else []
    for number in range(context.runs):
        chill(context, tree)
        reading.runs.append(context.workspace.measured(command, groups=groups))
        if not context.bakare:
            continue
        store = context.bakare.fresh()
        chill(context, tree)
        backup.runs.append(store.backup(tree.path, groups=groups))
        if number == 0 and not group:
            target = context.workspace.folder("restored")
            store.restore(tree.path, target)
            compare(context.workspace, tree.path, target, "bakare")
            context.workspace.remove(target)
        store.remove()
    return reading, backup


def run(context):
    report = context.report
    report.title("cold", "first backup from a cold cache against reading alone")
    report.say(f"read: dd bs={BLOCK} for the random data; for the toolchain's many files the walk, which reads in such blocks")
    rows = []
    slow = f"{context.throttle / 1e6:.0f} MB/s"
    for label, tree, flat in (("random", context.data.incompressible(), True), ("toolchain", context.data.toolchain(), False)):
        for disk, limited in (("as it is", False), (slow, True)):
            with ReadLimitGroup(context.workspace.root, context.throttle) if limited else nullcontext() as group:
                reading, backup = measure(context, tree, reference(context, tree, flat), group)
            fetched = reading.read_bytes
            if fetched < tree.bytes * 0.9:
                report.say(f"note: {label}: only {fetched / 1e6:,.0f} MB came from the disk: the cache was not cold")
            row = [label, disk, f"{tree.bytes / 1e6:,.0f}", seconds(reading.wall), f"{tree.bytes / reading.wall / 1e6:,.0f}"]
            runs = {"read": reading.runs, "bakare": backup.runs}
            report.keep(f"{label}, {disk}", {name: [cost.record() for cost in costs] for name, costs in runs.items()})
            if backup.runs:
                share, cores = reading.wall / backup.wall, backup.cpu / backup.wall
                row += [seconds(backup.wall), f"{tree.bytes / backup.wall / 1e6:,.0f}", f"{cores:.2f}", f"{share:.2f}"]
                excuse = "CPU-BOUND" if cores / CORES + backup.foreign >= CPU_BOUND_SHARE else None
                report.at_least(f"{label}, disk {disk}: speed / reading alone", share, SHARE_MIN, excuse=excuse)
            rows.append(row + ["-"] * (9 - len(row)))
    report.say(table(["data", "disk", "MB", "read s", "read MB/s", "bakare s", "bakare MB/s", "cores", "share"], rows))
