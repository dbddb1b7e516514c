"""Finding a path among millions of names, beside plocate and fzf on the same list; and what the index costs a backup."""

import os
import shutil
import statistics

from harness.errors import BenchError
from harness.report import mib, seconds, table

# (query, the plain substring that plocate can be asked for instead, if it is one). What is behind an apostrophe must be there as it is.
QUERIES = (
    ("handler_1", "handler_1"),
    ("insurance-9", "insurance-9"),
    ("config", "config"),
    ("rptannual", None),
    ("annual report", None),
    ("invocie", None),
    ("'handler_1", "handler_1"),
    ("'insurance-9", "insurance-9"),
    ("'config", "config"),
    ("'handler_77.json", "handler_77.json"),
)
CHANGED = 1000


def run(context):
    report, workspace = context.report, context.workspace
    for tool in ("fzf", "plocate", "plocate-build"):
        if not (shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")):
            raise BenchError(f"{tool} is not installed (apt install fzf plocate)")
    tree = context.data.tiny(context.files)
    report.title("find", f"{tree}, generated")
    if not context.bakare:
        report.say("bakare-node is left out: nothing to measure")
        return
    store = context.bakare.fresh()
    store.backup(tree.path)
    names, database = workspace.root / "names", workspace.root / "plocate.db"
    with open(names, "wb") as file:
        paths = 0
        for folder, folders, files in os.walk(os.fsencode(tree.path)):
            for name in folders + files:
                file.write(folder + b"/" + name + b"\n")
                paths += 1
    builder = shutil.which("plocate-build") or shutil.which("plocate-build", path="/usr/sbin:/sbin")
    workspace.plain([builder, "-p", names, database])
    find = [context.bakare.binary, "--home", store.path, "find", "--json"]
    rows = []
    for query, plain in QUERIES:
        commands = {"find": [*find, query]}
        commands["fzf"] = ["/bin/sh", "-c", 'fzf --scheme=path --filter "$0" <"$1" >/dev/null || true', query, names]
        if plain:
            commands["plocate -i"] = ["plocate", "-i", "-d", database, plain]
        costs = {name: [] for name in commands}
        for _ in range(1 + context.runs):
            for name, command in commands.items():
                costs[name].append(workspace.measured(command))
        # The first is not counted: it brings the files into the page cache.
        wall = {name: statistics.median(cost.wall for cost in runs[1:]) for name, runs in costs.items()}
        peak = max(cost.peak_bytes for cost in costs["find"])
        cpu = statistics.median(cost.cpu for cost in costs["find"][1:])
        rows.append(
            [query, seconds(wall["find"]), seconds(cpu), mib(peak), seconds(wall["fzf"])]
            + [seconds(wall["plocate -i"]) if plain else ""]
        )
        report.at_most(f"find `{query}`", wall["find"], 0.15, show=seconds, unit=" s")
        report.at_most(f"find `{query}`: peak", peak, 128 << 20, show=mib, unit=" MiB")
        report.at_most(f"find `{query}` / fzf", wall["find"] / wall["fzf"], 1.0)
        if plain:
            report.at_most(f"find `{query}` / plocate -i", wall["find"] / wall["plocate -i"], 2.0)
        report.keep(f"wall, {query}", wall)
    report.say(table(["query", "find s", "cpu s", "peak MiB", "fzf s", "plocate s"], rows, left=1))
    folder = os.path.join(store.path, "ledger", "names")
    index_bytes = sum(entry.stat().st_size for entry in os.scandir(folder))
    report.say(f"index: {index_bytes / 1e6:.1f} MB for {paths:,} paths")
    report.at_most("index, bytes a path", index_bytes / paths, 40.0)
    changed(context, store, tree)
    store.remove()


def changed(context, store, tree):
    """What the index takes of a backup in which a thousand files changed: as long as the find that follows a backup without it."""
    report, workspace = context.report, context.workspace
    spread = max(1, tree.files // CHANGED)
    chosen = []
    for number, (folder, _, files) in enumerate(os.walk(tree.path)):
        chosen += [os.path.join(folder, name) for name in files[: 1 + spread // 1000]]
        if len(chosen) >= CHANGED:
            break
    before, without, update = [], [], []
    home = ["--home", store.path]
    find = [context.bakare.binary, *home, "find", "--json", "zzzzzz", "--path", "/none"]
    for _ in range(context.runs):
        for path in chosen[:CHANGED]:
            with open(path, "ab") as file:
                file.write(b"x")
        workspace.plain([context.bakare.binary, *home, "backup", tree.path, "-q"])
        before.append(workspace.measured(find).wall)
        # The same index without its last snapshot: the manifest of before stands for it.
        keep = os.path.join(store.path, "ledger", "names")
        copy = str(workspace.root / "names-before")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(keep, copy)
        for path in chosen[:CHANGED]:
            with open(path, "ab") as file:
                file.write(b"x")
        workspace.plain([context.bakare.binary, *home, "backup", tree.path, "-q"])
        shutil.rmtree(keep)
        shutil.copytree(copy, keep)
        without.append(workspace.measured(find).wall)
        update.append(without[-1] - before[-1])
    shown = statistics.median(update)
    report.say(f"index after {CHANGED:,} changed files: {shown * 1000:.0f} ms (a find that adds them, less one that need not)")
    report.at_most(f"index after {CHANGED:,} changed files", shown, 0.1, show=seconds, unit=" s")
    report.keep("index update", update)
