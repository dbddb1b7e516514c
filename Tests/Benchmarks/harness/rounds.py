"""The measured rounds that the parts are made of: tools take turns, A B C A B C, and each restore is compared."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from .data import Data
from .errors import BenchError
from .report import Report, MIB
from .workspace import Costs, Workspace

PEAK_BYTES_MAX = 256 * MIB


@dataclass
class Context:
    """What every part gets."""

    workspace: Workspace
    tools: dict
    report: Report
    data: Data
    runs: int
    quick: bool
    files: int
    throttle: int
    """Bytes a second, for the disk that is made slower."""

    @property
    def bakare(self):
        return self.tools.get("bakare")


class Rounds:
    """The costs of one source by work and tool, with the last store of each tool kept for what follows."""

    def __init__(self, context, source, once=()):
        """`once`: tools that run a single time, being no part of a bar and too slow."""
        self.context, self.source, self.once = context, source, once
        self.works, self.stored, self.stores = {}, {}, {}

    def turns(self, tools=None, runs=None):
        for number in range(runs or self.context.runs):
            for name, tool in self.context.tools.items():
                if (tools is None or name in tools) and (number == 0 or name not in self.once):
                    yield number, name, tool

    def note(self, work, name, cost):
        self.works.setdefault(work, {}).setdefault(name, Costs()).runs.append(cost)
        return cost

    def first(self):
        """First backups, each into a new store and from a warm cache: borg leaves what it has read out of it."""
        for _, name, tool in self.turns():
            if name in self.stores:
                self.stores[name].remove()
            self.stores[name] = tool.fresh()
            self.context.data.warm(self.source)
            cost = self.note("first backup", name, self.stores[name].backup(self.source.path))
            self.check_count(name, cost, "files", self.source.files)
            self.stored.setdefault("first backup", {})[name] = self.stores[name].stored_bytes()

    def unchanged(self, before=None):
        """Backups with nothing changed."""
        for _, name, _ in self.turns():
            if before:
                before()
            cost = self.note("nothing changed", name, self.stores[name].backup(self.source.path))
            self.check_count(name, cost, "unchanged_files", self.source.files)
            self.stored.setdefault("nothing changed", {})[name] = self.stores[name].stored_bytes()

    def restores(self, tools=None, runs=None):
        """Restores of the latest snapshot into an empty folder, each from a warm cache and compared with the source.

        bakare-node and borg leave what they have written out of the cache, restic does not: without this they would wait for the disk.
        """
        for _, name, _ in self.turns(tools, runs):
            self.context.data.warm(self.stores[name])
            target = self.context.workspace.folder("restored")
            self.note("restore", name, self.stores[name].restore(self.source.path, target))
            compare(self.context.workspace, self.source.path, target, name)
            self.context.workspace.remove(target)

    def remove(self):
        for store in self.stores.values():
            store.remove()
        self.stores = {}

    def check_count(self, name, cost, key, expected):
        """What bakare-node says it saw must be what is there."""
        if name == "bakare" and cost.summary.get(key) != expected:
            raise BenchError(f"backup --json says {key} {cost.summary.get(key)}, but there are {expected}")

    def ratio(self, work, name, other):
        costs = self.works.get(work, {})
        return costs[name].wall / costs[other].wall if name in costs and other in costs else None

    def bar(self, work, other, bar):
        """The bar on bakare's time against another's, where both were measured."""
        got = self.ratio(work, "bakare", other)
        if got is not None:
            self.context.report.at_most(f"{work}: time / {other}", got, bar)

    def peak_bar(self):
        costs = [costs["bakare"] for costs in self.works.values() if "bakare" in costs]
        if costs:
            peak = max(cost.peak_bytes for cost in costs)
            self.context.report.at_most("peak memory", peak / MIB, PEAK_BYTES_MAX / MIB, lambda v: f"{v:.0f}", " MiB")

    def keep(self):
        report = self.context.report
        works = {
            work: {name: [run.record() for run in costs.runs] for name, costs in tools.items()}
            for work, tools in self.works.items()
        }
        report.keep("source", str(self.source))
        report.keep("runs", works)
        report.keep("stored_bytes", self.stored)
        every = [costs for tools in self.works.values() for costs in tools.values()]
        foreign = max((costs.foreign for costs in every if costs.wall > 0.5), default=0)
        if foreign > 0.2:
            report.say(f"note: others took up to {foreign * 100:.0f} % of the machine meanwhile: do not trust these figures")


def restored_place(source, target):
    """Where a tool put the source below its target: by full path, by name, or straight into it."""
    full = Path(target) / str(Path(source).absolute()).lstrip("/")
    named = Path(target) / Path(source).name
    return next((place for place in (full, named) if os.path.lexists(place)), Path(target))


def compare(workspace, source, target, name):
    """Fails unless what was restored equals the source."""
    place = restored_place(source, target)
    try:
        workspace.plain([workspace.program("treecompare"), source, place])
    except BenchError as error:
        raise BenchError(f"{name} restored something else than it was given: {error}") from None


def file_hash(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
