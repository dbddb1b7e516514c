"""Nodes that run, and the server that restic speaks to: processes beside the one that is measured."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from .errors import BenchError
from .tools import PASSPHRASE
from .workspace import TICKS_PER_SECOND, tail

READY_SECONDS = 60


class Server:
    """A process that goes on beside the measured ones; ended when its block is left. In a control group, what it cost is in
    `result` once it has ended."""

    def __init__(self, workspace, name, command, environment=None, groups=()):
        self.log, self.result = workspace.root / f"{name}.log", workspace.root / f"{name}.json"
        if groups:
            joins = [word for group in groups for word in ("--cgroup", group)]
            command = [workspace.program("measure"), *joins, self.result, "--", *command]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), env=environment or workspace.environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def line(self, pattern, seconds=READY_SECONDS):
        """The first match of a pattern in what the process has printed."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = re.search(pattern, self.log.read_text(errors="replace"), re.MULTILINE)
            if found:
                return found
            if self.process.poll() is not None:
                raise BenchError(f"{self.name} ended: {tail(self.log.read_text(errors='replace'))}")
            time.sleep(0.05)
        raise BenchError(f"{self.name}: no {pattern!r} within {seconds} s: {tail(self.log.read_text(errors='replace'))}")

    @property
    def cpu(self):
        """Processor seconds of the process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    @property
    def peak_bytes(self):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) * 1024


class Node:
    """The home of one node, on the disk of the workspace; nothing runs there yet."""

    def __init__(self, context, name, replicas=1, empty=False):
        self.workspace, self.binary, self.name = context.workspace, context.bakare.binary, name
        self.home = context.workspace.folder(f"stores/{name}")
        # Beside the home, which is to be empty where it is recovered.
        self.settings = context.workspace.root / f"{name}.toml"
        self.settings.write_text(f'[peers]\nlisten = "127.0.0.1:0"\ndiscovery = false\nreplicas = {replicas}\n')
        if not empty:
            self.run("init")

    def command(self, *words):
        return [self.binary, "--home", str(self.home), "--config", str(self.settings), *map(str, words)]

    def run(self, *words):
        return self.workspace.plain(self.command(*words))

    def backup(self, source, *options):
        return self.workspace.measured(self.command("backup", source, "--json", *options))

    def start(self, *dialled, groups=()):
        """The node as it runs, once it listens; `dialled` are others that run."""
        options = [word for other in dialled for word in ("--peer", other.address)]
        server = Server(self.workspace, self.name, self.command("start", *options), groups=groups)
        try:
            server.address = server.line(r"^ready .*?(\S+:\d+)")[1]
        except BaseException:
            server.stop()
            raise
        return server

    def begin(self, *words):
        """A command that goes on beside others."""
        return Server(self.workspace, f"{self.name}-{words[0]}", self.command(*words))

    def pair(self, inviter, quota="100GB"):
        """Makes friends with a node that runs."""
        invitation = inviter.run("invite", "--quiet", "--quota", quota).strip()
        self.run("join", invitation, "--quota", quota)

    def await_peers(self, count):
        """Waits until so many peers are connected with this node, which runs."""
        deadline = time.monotonic() + READY_SECONDS
        while sum(peer["online"] for peer in json.loads(self.run("peers", "--json"))) < count:
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name}: its {count} peers are not there within {READY_SECONDS} s")
            time.sleep(0.1)

    def remove(self):
        self.workspace.remove(self.home)


def find_rclone():
    """Where `.ci/deps bench` has put it, else one that is installed."""
    own = Path(__file__).resolve().parents[3] / ".build/bench-tools/bin/rclone"
    return str(own) if own.exists() else shutil.which("rclone")


class ResticAway:
    """restic with its repository behind `rclone serve restic` on loopback."""

    def __init__(self, workspace, number):
        self.workspace = workspace
        self.path, self.cache = workspace.folder(f"stores/away-{number}"), workspace.folder(f"stores/away-{number}-cache")
        rclone = find_rclone()
        if not rclone:
            raise BenchError("no rclone: run .ci/deps bench")
        environment = dict(workspace.environment, RCLONE_CONFIG="/dev/null")
        self.server = Server(
            workspace, f"rclone-{number}", [rclone, "serve", "restic", "--addr", "127.0.0.1:0", self.path], environment)
        address = self.server.line(r"(http://127\.0\.0\.1:\d+/)")[1]
        self.environment = dict(
            workspace.environment, RESTIC_PASSWORD=PASSPHRASE, RESTIC_REPOSITORY=f"rest:{address}",
            RESTIC_CACHE_DIR=str(self.cache))
        workspace.plain(["restic", "-q", "init"], self.environment)

    def backup(self, source):
        return self.workspace.measured(["restic", "-q", "backup", source], self.environment)

    def restore(self, target):
        """On a machine that has no cache either."""
        self.workspace.remove(self.cache)
        return self.workspace.measured(["restic", "-q", "restore", "latest", "--target", target], self.environment)

    def remove(self):
        self.server.stop()
        self.workspace.remove(self.path)
        self.workspace.remove(self.cache)


def with_servers(servers, work):
    """Runs measured work, and adds to its processor time what the servers spent on it."""
    before = [server.cpu for server in servers]
    cost = work()
    spent = sum(server.cpu - earlier for server, earlier in zip(servers, before))
    cost.cpu += spent
    cost.foreign = max(0.0, cost.foreign - spent / (max(cost.wall, 0.001) * (os.cpu_count() or 1)))
    return cost
