"""Control groups, version 1 or 2: a memory limit that kills, and a limit on what is read from the disk."""

import os
import time
from pathlib import Path

from .errors import BenchError

ROOT = Path("/sys/fs/cgroup")


def own_folders(controller):
    """Where a group of this controller may be made: below our own group, so that its limits stay in force; else at the top."""
    paths = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            paths[name] = path.lstrip("/")
    if (ROOT / controller).is_dir():
        mount, own = ROOT / controller, paths.get(controller, "")
    else:
        mount, own = ROOT, paths.get("", "")
    return [mount / own, mount]


class Group:
    """One control group, made on entry and removed on exit. A file that only it has tells which version is there."""

    controller = ""
    marks = ("", "")

    def __enter__(self):
        reasons = []
        for parent in own_folders(self.controller):
            path = parent / f"bakare-bench-{os.getpid()}-{self.controller}"
            try:
                path.mkdir(exist_ok=True)
            except OSError as error:
                reasons.append(f"{path}: {error.strerror}")
                continue
            self.path = path
            for version, mark in enumerate(self.marks, 1):
                if (path / mark).exists():
                    self.version = version
                    self.limit()
                    return self
            self.remove()
            reasons.append(f"{path}: the controller is not enabled")
        raise BenchError(f"no {self.controller} control group can be made here ({'; '.join(reasons)}): run as root")

    def __exit__(self, *_):
        self.remove()

    def remove(self):
        for _ in range(50):
            try:
                self.path.rmdir()
                return
            except OSError:
                time.sleep(0.1)

    def write(self, name, value):
        (self.path / name).write_text(str(value))

    def number(self, name, key=None):
        """The number in a file, or after a key in it; 0 where it does not exist."""
        try:
            text = (self.path / name).read_text()
        except OSError:
            return 0
        if key is None:
            return int(text)
        return next((int(line.split()[1]) for line in text.splitlines() if line.split()[0] == key), 0)


class MemoryGroup(Group):
    """A memory limit beyond which the kernel first takes page cache back, and then kills. No swap."""

    controller = "memory"
    marks = ("memory.limit_in_bytes", "memory.max")

    def __init__(self, limit_bytes):
        self.limit_bytes = limit_bytes

    def limit(self):
        self.write(self.marks[self.version - 1], self.limit_bytes)
        swap = ("memory.memsw.limit_in_bytes", "memory.swap.max")[self.version - 1]
        if (self.path / swap).exists():
            self.write(swap, self.limit_bytes if self.version == 1 else 0)

    @property
    def max_bytes(self):
        """The most that was charged: process memory, kernel memory for it, and page cache, which fills what is left."""
        return self.number(("memory.max_usage_in_bytes", "memory.peak")[self.version - 1])

    @property
    def limit_hits(self):
        """How often the limit was reached and page cache had to go."""
        return self.number("memory.failcnt") if self.version == 1 else self.number("memory.events", "max")

    @property
    def kills(self):
        return self.number("memory.oom_control" if self.version == 1 else "memory.events", "oom_kill")


class ReadLimitGroup(Group):
    """A limit on the bytes a second that are read from the disk under a folder."""

    controller = "blkio"
    marks = ("blkio.throttle.read_bps_device", "io.max")

    def __init__(self, folder, bytes_per_second):
        self.device = disk_under(folder)
        self.bytes_per_second = bytes_per_second

    def limit(self):
        value = f"{self.device} {self.bytes_per_second}" if self.version == 1 else f"{self.device} rbps={self.bytes_per_second}"
        self.write(self.marks[self.version - 1], value)


def disk_under(folder):
    """MAJOR:MINOR of the whole disk below a folder: limits are refused for a partition."""
    device = os.stat(folder).st_dev
    numbers = f"{os.major(device)}:{os.minor(device)}"
    node = Path(f"/sys/dev/block/{numbers}")
    if not node.exists():
        raise BenchError(f"{folder} is not on a block device, so its reading can't be limited: choose another --workdir")
    node = node.resolve()
    return (node.parent / "dev").read_text().strip() if (node / "partition").exists() else numbers
