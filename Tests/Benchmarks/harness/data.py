"""The data that is backed up: the installed toolchain, and what is generated, the same on every machine."""

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from .errors import BenchError

SEED = 20250101
BLOCK = 8 << 20


@dataclass
class Tree:
    """A tree and what it holds, by the walk."""

    path: Path
    files: int
    folders: int
    bytes: int

    def __str__(self):
        return f"{self.bytes / 1e6:,.0f} MB in {self.files:,} files, {self.folders:,} folders"


class Data:
    """Makes each set once and keeps it for the parts that follow."""

    def __init__(self, workspace, quick):
        self.workspace, self.quick = workspace, quick
        self.folder = workspace.folder("data")

    def need(self, bytes_wanted, files_wanted=0):
        """Refuses at once what would not fit the disk half an hour later."""
        room = os.statvfs(self.workspace.root)
        free = room.f_bavail * room.f_frsize
        if free < bytes_wanted:
            raise BenchError(f"needs {bytes_wanted / 1e9:.0f} GB free, there are {free / 1e9:.0f}: choose another --workdir")
        if room.f_files and room.f_favail < files_wanted:
            raise BenchError(f"needs {files_wanted:,} free inodes, there are {room.f_favail:,}: choose fewer --files")

    def count(self, path):
        files, folders, size = map(int, self.workspace.plain([self.workspace.program("walk"), path]).split())
        return Tree(Path(path), files, folders, size)

    def warm(self, tree):
        """Reads everything once, so that it is in the page cache."""
        self.workspace.plain([self.workspace.program("walk"), "--read", tree.path])

    def toolchain(self):
        """The folder above the `usr` that holds the `swift` in use; for --quick, the headers and modules of clang alone."""
        swift = shutil.which("swift")
        if not swift:
            raise BenchError("no swift in PATH: its toolchain is what this part backs up")
        usr = Path(swift).resolve().parent.parent
        if self.quick:
            return self.count(usr / "lib" / "clang")
        if usr.name != "usr" or usr.parent == Path("/"):
            raise BenchError(f"swift is at {swift}: not in a toolchain folder of its own")
        return self.count(usr.parent)

    def tiny(self, files):
        path = self.folder / f"tiny-{files}"
        if not path.exists():
            # A block a file, twice for the restored copy, and the stores.
            self.need(files * 4096 * 2 + files * 700 * 2, files * 2)
            self.workspace.plain([self.workspace.program("tinytree"), path, str(files)])
        return self.count(path)

    def noise_file(self, path, size, seed):
        """Bytes that nothing compresses."""
        source = random.Random(f"{SEED}-{seed}")
        with open(path, "wb") as file:
            for at in range(0, size, BLOCK):
                file.write(source.randbytes(min(BLOCK, size - at)))

    def noise(self, files, size):
        path = self.folder / f"noise-{files}x{size}"
        if not path.exists():
            self.need(files * size * 4)
            path.mkdir()
            for number in range(files):
                self.noise_file(path / f"noise-{number:02}.bin", size, number)
        return self.count(path)

    def incompressible(self):
        return self.noise(8, (32 if self.quick else 256) << 20)

    def large_file(self):
        """One large file in a folder of its own."""
        return self.noise(1, (256 << 20) if self.quick else (4 << 30))

    def text_file(self, path, size, seed):
        """Lines of words: shrinks to about a third."""
        source = random.Random(f"{SEED}-text-{seed}")
        words = ["".join(source.choices("etaoinshrdlucmfwyp", k=source.randint(2, 10))) for _ in range(4000)]
        with open(path, "w", encoding="ascii") as file:
            while file.tell() < size:
                file.write(" ".join(source.choices(words, k=12)) + "\n")

    def mixed(self):
        """A small set of every sort, for counting instructions."""
        path = self.folder / "mixed"
        files, size = (300, 2 << 20) if self.quick else (2000, 16 << 20)
        if not path.exists():
            path.mkdir()
            self.workspace.plain([self.workspace.program("tinytree"), path / "tiny", str(files)])
            self.text_file(path / "text.txt", size, 1)
            self.noise_file(path / "noise.bin", size, "mixed")
        return self.count(path)
