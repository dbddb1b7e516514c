"""The tools under comparison, each behind the same four verbs: make a store, back up, restore, weigh."""

import itertools
import json
import os
import re
import shutil
from pathlib import Path

from .errors import BenchError
from .workspace import allocated_bytes

PASSPHRASE = "benchmark"


class Store:
    """One tool's repository (or home), new and empty."""

    def __init__(self, tool, workspace, path):
        self.tool, self.workspace, self.path = tool, workspace, path
        self.environment = dict(workspace.environment)

    def stored_bytes(self):
        os.sync()
        return allocated_bytes(self.path)

    def remove(self):
        self.workspace.remove(self.path)


class BakareStore(Store):
    def __init__(self, tool, workspace, path, memory=None):
        super().__init__(tool, workspace, path)
        self.workspace.plain([tool.binary, "--home", path, "init"])
        if memory:
            self.limit_memory(memory)

    def limit_memory(self, memory):
        """Sets `memory` in bakare.toml, at its top level, in place of a line that stands there already, commented or not."""
        config = self.path / "bakare.toml"
        lines = config.read_text().splitlines() if config.exists() else []
        first_table = next((i for i, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
        kept = [line for i, line in enumerate(lines) if i >= first_table or not re.match(r"\s*memory\s*=", line)]
        config.write_text("\n".join([f'memory = "{memory}"'] + kept) + "\n")

    def backup(self, source, groups=(), must_succeed=True):
        cost = self.workspace.measured(
            [self.tool.binary, "--home", self.path, "backup", source, "--json"], self.environment, groups=groups,
            must_succeed=must_succeed,
        )
        if cost.exit == 0:
            try:
                cost.summary = json.loads(cost.output)
                failed = cost.summary["errors"]
            except (ValueError, KeyError, TypeError) as error:
                raise BenchError(f"backup --json of {source}: not the document that was promised: {error!r}") from None
            if failed:
                raise BenchError(f"backup of {source}: {len(failed)} files could not be read, first {failed[0]}")
        return cost

    def restore(self, source, target, snapshot="latest", groups=(), must_succeed=True):
        return self.workspace.measured(
            [self.tool.binary, "--home", self.path, "restore", snapshot, "--target", target], self.environment, groups=groups,
            must_succeed=must_succeed,
        )

    def stored_bytes(self):
        os.sync()
        return allocated_bytes(self.path / "vault")

    def home_bytes(self):
        return allocated_bytes(self.path)


class ResticStore(Store):
    def __init__(self, tool, workspace, path):
        super().__init__(tool, workspace, path)
        self.cache = path.parent / f"{path.name}-cache"
        self.environment.update(RESTIC_PASSWORD=PASSPHRASE, RESTIC_REPOSITORY=str(path), RESTIC_CACHE_DIR=str(self.cache))
        self.workspace.plain(["restic", "-q", "init"], self.environment)

    def backup(self, source):
        return self.workspace.measured(["restic", "-q", "backup", source], self.environment)

    def restore(self, source, target):
        return self.workspace.measured(["restic", "-q", "restore", "latest", "--target", target], self.environment)

    def remove(self):
        super().remove()
        self.workspace.remove(self.cache)


class BorgStore(Store):
    def __init__(self, tool, workspace, path):
        super().__init__(tool, workspace, path)
        self.base = path.parent / f"{path.name}-base"
        self.archives = itertools.count(1)
        self.environment.update(BORG_PASSPHRASE=PASSPHRASE, BORG_BASE_DIR=str(self.base))
        self.workspace.plain(["borg", "init", "-e", "repokey", path], self.environment)

    def backup(self, source):
        self.latest = f"{self.path}::run{next(self.archives)}"
        return self.workspace.measured(["borg", "create", self.latest, source], self.environment)

    def restore(self, source, target):
        return self.workspace.measured(["borg", "extract", self.latest], self.environment, cwd=target)

    def remove(self):
        super().remove()
        self.workspace.remove(self.base)


class Tool:
    """A program, and the stores it makes in the workspace."""

    def __init__(self, name, kind, workspace, binary):
        self.name, self.kind, self.workspace, self.binary = name, kind, workspace, binary
        self.numbers = itertools.count(1)

    def fresh(self, **options):
        """A new store, which nothing has been backed up to."""
        path = self.workspace.folder(f"stores/{self.name}-{next(self.numbers)}")
        return self.kind(self, self.workspace, path, **options)


def describe_bakare(workspace, tool):
    version = workspace.plain([tool.binary, "--version"]).strip().removeprefix("bakare-node").strip()
    return f"bakare-node {version or '?'}: defaults; stored = `du` of <home>/vault, parity included"


def describe_restic(workspace, tool):
    store = tool.fresh()
    version = workspace.plain(["restic", "version"]).split(" compiled")[0].strip()
    config = json.loads(workspace.plain(["restic", "-q", "cat", "config"], store.environment))
    store.remove()
    return f"{version}: defaults (repository version {config['version']}, its cache in the work folder), -q"


def describe_borg(workspace, tool):
    version = workspace.plain(["borg", "--version"]).strip()
    return f"{version}: init -e repokey, create with defaults (lz4), its cache in the work folder"


def find_tools(workspace, wanted, binary):
    """The tools that are wanted and there, in order, by name; a line about each, or about why it is missing."""
    tools, lines = {}, []
    kinds = {
        "bakare": (BakareStore, describe_bakare, binary),
        "restic": (ResticStore, describe_restic, shutil.which("restic")),
        "borg": (BorgStore, describe_borg, shutil.which("borg")),
    }
    for name in wanted:
        kind, describe, path = kinds[name]
        if not path or not os.access(path, os.X_OK):
            if name == "bakare":
                raise BenchError(f"no program at {path}: run `swift build -c release`, or give --binary PATH")
            lines.append(f"{name}: not installed, left out (apt install {'borgbackup' if name == 'borg' else name})")
            continue
        tools[name] = Tool(name, kind, workspace, str(Path(path).resolve()) if name == "bakare" else path)
        lines.append(describe(workspace, tools[name]))
    return tools, lines
