"""A grid of Tahoe-LAFS on this machine: an introducer, storage nodes, and one client that speaks to them over loopback."""

import json
import shutil
import socket
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from .errors import BenchError
from .nodes import Server

CONNECTED_SECONDS = 60


def find_tahoe():
    """Where `.ci/deps bench` has put it, else one that is installed."""
    own = Path(__file__).resolve().parents[3] / ".build/bench-tools/bin/tahoe"
    return str(own) if own.exists() else shutil.which("tahoe")


def free_port():
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Grid:
    """Files are cut into `total` shares, of which any `needed` bring one back; there are as many storage nodes as shares."""

    def __init__(self, context, tahoe, needed, total):
        self.workspace, self.tahoe = context.workspace, tahoe
        self.folder = self.workspace.folder("stores/tahoe")
        self.stack, self.servers = ExitStack(), []
        try:
            self.make("create-introducer", "introducer", *self.place())
            self.start("introducer")
            furl = self.folder / "introducer/private/introducer.furl"
            self.wait(furl.exists, "the introducer's address")
            joined = ("--introducer", furl.read_text().strip())
            for number in range(total):
                self.make("create-node", f"storage-{number}", *joined, *self.place(), "--webport", "none")
                self.start(f"storage-{number}")
            web = free_port()
            shares = ("--shares-needed", needed, "--shares-happy", total, "--shares-total", total)
            self.make("create-client", "client", *joined, *shares, "--webport", f"tcp:{web}:interface=127.0.0.1")
            self.start("client")
            self.wait(lambda: self.connected(web) >= total, f"{total} connected storage nodes")
        except BaseException:
            self.stack.close()
            raise

    @staticmethod
    def place():
        port = free_port()
        return "--port", f"tcp:{port}:interface=127.0.0.1", "--location", f"tcp:127.0.0.1:{port}"

    def make(self, kind, name, *options):
        self.workspace.plain([self.tahoe, kind, *map(str, options), str(self.folder / name)])

    def start(self, name):
        command = [self.tahoe, "run", "--allow-stdin-close", self.folder / name]
        self.servers.append(self.stack.enter_context(Server(self.workspace, f"tahoe-{name}", command)))

    def wait(self, happened, what):
        deadline = time.monotonic() + CONNECTED_SECONDS
        while not happened():
            for server in self.servers:
                if server.process.poll() is not None:
                    raise BenchError(f"{server.name} ended: {server.log.read_text(errors='replace')[-300:]}")
            if time.monotonic() > deadline:
                raise BenchError(f"tahoe: not {what} within {CONNECTED_SECONDS} s")
            time.sleep(0.1)

    @staticmethod
    def connected(web):
        """How many storage nodes the client has, as its status page says; 0 before it answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{web}/?t=json", timeout=5) as answer:
                servers = json.load(answer)["servers"]
        except OSError:
            return 0
        return sum(server["connection_status"].lower().startswith("connected") for server in servers)

    def put(self, file):
        """Uploads a file: the cost, whose output is its capability."""
        return self.workspace.measured([self.tahoe, "-d", self.folder / "client", "put", file])

    def get(self, capability, target):
        return self.workspace.measured([self.tahoe, "-d", self.folder / "client", "get", capability, target])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()
        self.workspace.remove(self.folder)
