"""The scratch folder of one run, and the running of commands in it."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from .errors import BenchError

PROGRAMS = Path(__file__).resolve().parent.parent / "programs"
CORES = os.cpu_count() or 1
# ext4 does not give a deleted file's inode again for a minute, and looks at each such inode whenever it makes a file: making
# many files soon after deleting many takes ten times as long. So a measured run waits for that minute to pass.
MANY_FILES = 1_000
DELETED_SECONDS = 65
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass
class Cost:
    """What one run of one command took. Seconds and bytes."""

    wall: float
    cpu: float
    peak_bytes: int
    read_bytes: int
    written_bytes: int
    exit: int
    signal: int
    foreign: float
    """The share of the machine's processors that others used meanwhile, the kernel's own threads included."""
    output: str = ""
    errors: str = ""
    summary: dict = field(default_factory=dict)
    """What the tool itself says about the run."""

    def record(self):
        keys = ("wall", "cpu", "peak_bytes", "read_bytes", "written_bytes", "exit", "signal", "foreign")
        return {key: getattr(self, key) for key in keys}


@dataclass
class Costs:
    """The runs of one piece of work by one tool."""

    runs: list = field(default_factory=list)

    @property
    def wall(self):
        return statistics.median(cost.wall for cost in self.runs)

    @property
    def cpu(self):
        return statistics.median(cost.cpu for cost in self.runs)

    @property
    def peak_bytes(self):
        return max(cost.peak_bytes for cost in self.runs)

    @property
    def read_bytes(self):
        return statistics.median(cost.read_bytes for cost in self.runs)

    @property
    def foreign(self):
        return statistics.median(cost.foreign for cost in self.runs)

    @property
    def spread(self):
        """From the fastest run to the slowest, as a share of the median."""
        walls = [cost.wall for cost in self.runs]
        return (max(walls) - min(walls)) / self.wall


def busy_seconds():
    """Processor seconds spent by everyone since the machine started, idle and waiting left out."""
    with open("/proc/stat") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS_PER_SECOND


class Workspace:
    """One scratch folder: made on entry, removed on exit whatever happened in between."""

    def __init__(self, parent):
        os.makedirs(parent, exist_ok=True)
        self.root = Path(tempfile.mkdtemp(prefix="bakare-bench-", dir=parent)).resolve()
        self.many_removed_at = None
        self.bin = self.root / "bin"
        self.bin.mkdir()
        (self.root / "user").mkdir()
        self.environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.root / "user"),
            "TMPDIR": str(self.root),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
        }

    def __enter__(self):
        compiler = shutil.which("gcc") or shutil.which("clang")
        try:
            if not compiler:
                raise BenchError("no C compiler: apt install gcc")
            for source in sorted(PROGRAMS.glob("*.c")):
                options = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
                self.plain([compiler, *options, "-o", self.bin / source.stem, source])
        except BaseException:
            self.remove(self.root)
            raise
        return self

    def __exit__(self, *_):
        self.remove(self.root)

    def remove(self, path):
        """Removes a file or a tree; `rm` is far faster at millions of files than Python."""
        if not str(Path(path).absolute()).startswith(str(self.root)):
            raise BenchError(f"will not remove {path}: it is outside of the workspace")
        free = os.statvfs(self.root.parent).f_ffree
        subprocess.run(["rm", "-rf", "--one-file-system", "--", str(path)], check=False)
        if os.statvfs(self.root.parent).f_ffree - free > MANY_FILES:
            self.many_removed_at = time.monotonic()

    def settle(self):
        """Waits until nothing that was done before weighs on what comes: writes under way, and masses of deleted files."""
        os.sync()
        if self.many_removed_at is not None:
            time.sleep(max(0.0, self.many_removed_at + DELETED_SECONDS - time.monotonic()))
            self.many_removed_at = None

    def folder(self, name):
        """A new empty folder; one of the same name is removed first."""
        path = self.root / name
        self.remove(path)
        path.mkdir(parents=True)
        return path

    def program(self, name):
        return str(self.bin / name)

    def plain(self, command, environment=None, cwd=None):
        """Runs a command that is not measured, and gives its standard output. It must succeed."""
        done = subprocess.run(
            command, env=environment or self.environment, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace",
        )
        if done.returncode != 0:
            raise BenchError(f"{' '.join(map(str, command))}: exit {done.returncode}: {tail(done.stderr or done.stdout)}")
        return done.stdout

    def measured(self, command, environment=None, cwd=None, groups=(), must_succeed=True):
        """Runs a command from a settled state and gives its Cost."""
        self.settle()
        result = self.root / "cost.json"
        result.unlink(missing_ok=True)
        launcher = [self.program("measure")]
        for group in groups:
            launcher += ["--cgroup", str(group)]
        busy = busy_seconds()
        out, err = self.root / "stdout", self.root / "stderr"
        with open(out, "w") as out_file, open(err, "w") as err_file:
            process = subprocess.Popen(
                [*launcher, result, "--", *command], env=environment or self.environment, cwd=cwd,
                stdin=subprocess.DEVNULL, stdout=out_file, stderr=err_file,
            )
            try:
                process.wait()
            except BaseException:
                self.stop(process)
                raise
        busy = busy_seconds() - busy
        output, errors = out.read_text(errors="replace"), err.read_text(errors="replace")
        if process.returncode != 0:
            raise BenchError(f"{command[0]}: could not be measured: {tail(errors)}")
        got = json.loads(result.read_text())
        cpu = got["user"] + got["system"]
        cost = Cost(
            wall=got["wall"], cpu=cpu, peak_bytes=got["peak_bytes"], read_bytes=got["read_bytes"],
            written_bytes=got["written_bytes"], exit=got["exit"], signal=got["signal"],
            foreign=max(0.0, busy - cpu) / (max(got["wall"], 0.001) * CORES), output=output, errors=errors,
        )
        if must_succeed and cost.exit != 0:
            how = f"signal {cost.signal}" if cost.signal else f"exit {cost.exit}"
            raise BenchError(f"{' '.join(map(str, command))}: {how}: {tail(errors or output)}")
        return cost

    @staticmethod
    def stop(process):
        """Ends a launcher, which ends its command; if that takes too long, the kernel ends both."""
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def tail(text, lines=4):
    return " | ".join(text.strip().splitlines()[-lines:]) or "no message"


def allocated_bytes(path):
    """What a tree takes on the disk, as `du` counts it: allocated blocks, a file with several links once."""
    total, seen = 0, set()
    pending = [Path(path)]
    while pending:
        current = pending.pop()
        status = os.lstat(current)
        if (status.st_dev, status.st_ino) in seen:
            continue
        if status.st_nlink > 1:
            seen.add((status.st_dev, status.st_ino))
        total += status.st_blocks * 512
        if os.path.isdir(current) and not os.path.islink(current):
            pending.extend(Path(entry.path) for entry in os.scandir(current))
    return total
