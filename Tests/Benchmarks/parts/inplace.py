"""A large file that changes a little: what each edit adds to the store."""

import os
import random
import shutil

from harness.data import SEED
from harness.errors import BenchError
from harness.report import mb, ratio, seconds, table
from harness.rounds import file_hash, restored_place

CHUNK_BYTES_MAX = 4 << 20
CHUNK_BYTES_TARGET = 1 << 20
INSERTED_BYTES = 1024


def overwrite(path, places, bytes_each, seed):
    """Writes new random bytes over `places` runs, one at a random offset in each of as many equal slots."""
    source = random.Random(f"{SEED}-edit-{seed}")
    slot = path.stat().st_size // places
    with open(path, "r+b") as file:
        for number in range(places):
            file.seek(number * slot + source.randrange(slot - bytes_each + 1))
            file.write(source.randbytes(bytes_each))


def insert(path, _, bytes_each, seed):
    """Puts new bytes before the first; the file is replaced, as an editor does."""
    fresh = path.with_suffix(".new")
    with open(path, "rb") as old, open(fresh, "wb") as new:
        new.write(random.Random(f"{SEED}-edit-{seed}").randbytes(bytes_each))
        shutil.copyfileobj(old, new, 8 << 20)
    os.replace(fresh, path)


def edits(size, quick):
    """(name, how, places, bytes each): four ways to change in place, three of them 1 % of the bytes; and one insertion."""
    percent, many = size // 100, 25 if quick else 400
    return [
        ("1 %, one span", overwrite, 1, percent),
        ("1 %, 16 spans", overwrite, 16, percent // 16),
        (f"1 %, {many} places", overwrite, many, percent // many),
        (f"{many} places of 4 KiB", overwrite, many, 4096),
        ("1 KiB inserted at start", insert, 1, INSERTED_BYTES),
    ]


def run(context):
    report = context.report
    tree = context.data.large_file()
    path = next(tree.path.iterdir())
    report.title("inplace", f"one file of {tree.bytes / 1e6:,.0f} MB of random bytes; growth of the store after each edit")
    report.say("bar: 1.5 times the bytes touched and one chunk of 4 MiB, the largest, a place; ≤avg: of 1 MiB, the target")
    context.data.need(tree.bytes * 4)
    stores = {name: tool.fresh() for name, tool in context.tools.items()}
    for store in stores.values():
        store.backup(tree.path)
    weights = {name: store.stored_bytes() for name, store in stores.items()}
    hashes = [file_hash(path)]
    rows = []
    for number, (name, edit, places, bytes_each) in enumerate(edits(tree.bytes, context.quick)):
        edit(path, places, bytes_each, number)
        hashes.append(file_hash(path))
        touched = places * bytes_each
        growth, walls = {}, {}
        for tool, store in stores.items():
            walls[tool] = store.backup(tree.path).wall
            weight = store.stored_bytes()
            growth[tool], weights[tool] = weight - weights[tool], weight
        bar, bar_average = (int(1.5 * touched + places * chunk) for chunk in (CHUNK_BYTES_MAX, CHUNK_BYTES_TARGET))
        rows.append(
            [name, mb(touched)]
            + [mb(growth[tool]) if tool in growth else "-" for tool in ("bakare", "restic", "borg")]
            + [mb(bar), mb(bar_average), seconds(walls["bakare"]) if "bakare" in walls else "-"]
            + [ratio(walls["bakare"] / walls["restic"]) if {"bakare", "restic"} <= walls.keys() else "-"]
        )
        report.keep(name, {"touched": touched, "places": places, "growth": growth, "wall": walls})
        if "bakare" in growth:
            report.at_most(f"growth, {name}", growth["bakare"], bar, mb, " MB")
    headings = ["edit", "touched MB", "bakare MB", "restic MB", "borg MB", "bar", "≤avg", "bakare s", "/restic"]
    report.say(table(headings, rows, left=1))
    if "bakare" in stores:
        check_snapshots(context, stores["bakare"], path, hashes)
    for store in stores.values():
        store.remove()


def check_snapshots(context, store, path, hashes):
    """Restores every snapshot, latest first: each must give the file as it was then."""
    for age, expected in enumerate(reversed(hashes)):
        snapshot = f"latest~{age}" if age else "latest"
        target = context.workspace.folder("restored")
        store.restore(path.parent, target, snapshot)
        place = restored_place(path.parent, target)
        if not (place / path.name).exists() or file_hash(place / path.name) != expected:
            raise BenchError(f"bakare restored {snapshot} with other content than was backed up")
        context.workspace.remove(target)
    context.report.say(f"all {len(hashes)} snapshots restored and compared")
