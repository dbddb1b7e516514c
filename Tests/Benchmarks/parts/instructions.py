"""Instructions instead of seconds: the same on a busy machine, and split by function."""

import re
import shutil
import subprocess

from harness.errors import BenchError
from harness.report import table
from harness.rounds import compare

FUNCTIONS_SHOWN = 15
# An instruction set that Valgrind does not offer makes a library take its portable path.
CAUTION = "valgrind offers AVX2 and AES-NI but neither SHA nor AVX-512 instructions: hashing weighs more here than in life"


def run(context):
    report, workspace = context.report, context.workspace
    tree = context.data.mixed()
    report.title("instructions", f"{tree}: tiny files, a text, random bytes")
    if not context.bakare:
        report.say("bakare-node is left out: nothing to measure")
        return
    store = context.bakare.fresh()
    target = workspace.folder("restored")
    home = ["--home", store.path]
    works = {
        "first backup": [*home, "backup", tree.path, "--json"],
        "nothing changed": [*home, "backup", tree.path, "--json"],
        "restore": [*home, "restore", "latest", "--target", target],
    }
    if perf_counts(workspace):
        by_perf(context, works, tree, target)
    elif shutil.which("valgrind"):
        by_callgrind(context, works, tree)
    else:
        raise BenchError("neither perf counts instructions here nor is valgrind installed (apt install valgrind)")
    compare(workspace, tree.path, target, "bakare")
    store.remove()
    workspace.remove(target)


def perf_counts(workspace):
    """Whether the processor's counters are there: a virtual machine seldom has them."""
    if not shutil.which("perf"):
        return False
    done = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", "true"], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stderr[:1].isdigit()


def summary(context, totals, tree):
    rows = [[work, f"{total:,}", f"{total / tree.bytes:.1f}", f"{total / tree.files:,.0f}"] for work, total in totals.items()]
    context.report.say(table(["work", "instructions", "a byte", "a file"], rows, left=1))
    context.report.keep("totals", totals)


def by_perf(context, works, tree, target):
    """Totals from the counters, at full speed; then callgrind for the functions, where it is installed."""
    workspace, totals = context.workspace, {}
    for work, arguments in works.items():
        out = workspace.root / "perf.csv"
        workspace.plain(["perf", "stat", "-x,", "-o", out, "-e", "instructions:u", context.bakare.binary, *arguments])
        line = next(line for line in out.read_text().splitlines() if "instructions" in line)
        totals[work] = int(line.split(",")[0])
    context.report.say("counted by perf stat, user space:")
    summary(context, totals, tree)
    if shutil.which("valgrind"):
        compare(workspace, tree.path, target, "bakare")
        again = context.bakare.fresh()
        folder = workspace.folder("restored-again")
        words = {str(works["restore"][1]): again.path, str(target): folder}
        moved = {work: [words.get(str(word), word) for word in command] for work, command in works.items()}
        by_callgrind(context, moved, tree)
        again.remove()
        workspace.remove(folder)


def by_callgrind(context, works, tree):
    workspace, totals, tables = context.workspace, {}, {}
    # Debian's valgrind gives up on debugging information of DWARF 5; the names of functions stay.
    program = workspace.root / "bakare-node"
    workspace.plain(["strip", "--strip-debug", "-o", program, context.bakare.binary])
    for work, arguments in works.items():
        out = workspace.root / "callgrind.out"
        workspace.plain(["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}", program, *arguments])
        text = workspace.plain(["callgrind_annotate", "--auto=no", "--threshold=100", out])
        totals[work], tables[work] = functions(text)
        out.unlink()
    context.report.say("counted by valgrind --tool=callgrind:")
    summary(context, totals, tree)
    context.report.say(CAUTION)
    for work, found in tables.items():
        context.report.say(f"\n{work}: the {FUNCTIONS_SHOWN} heaviest functions, their own instructions")
        top = found[:FUNCTIONS_SHOWN]
        rows = [[name, thing, f"{count:,}", f"{count / totals[work] * 100:.1f}"] for count, name, thing in top]
        context.report.say(table(["function", "object", "instructions", "%"], rows))
        context.report.keep(f"functions, {work}", top)


def functions(text):
    """The total, and (instructions, name, object) of each function, heaviest first, from callgrind_annotate's text."""
    total = re.search(r"^\s*([\d,]+)(?: \([\d. ]+%\))?\s+PROGRAM TOTALS", text, re.MULTILINE)
    if not total:
        raise BenchError("callgrind_annotate's output is not understood")
    found = {}
    for line in text[total.end():].splitlines():
        match = re.match(r"\s*([\d,]+)(?: \([\d. ]+%\))?\s+\S*?:(.+?)(?: \[([^\]]*)\])?$", line)
        if match:
            # A function that calls itself has a second line, with '2 and without its object.
            name, thing = match[2].removesuffix("'2"), (match[3] or "").rsplit("/", 1)[-1]
            count, before = found.get(name, (0, ""))
            found[name] = (count + number(match[1]), before or thing)
    names = demangled(list(found))
    heavy = sorted(((count, names.get(name, name), thing) for name, (count, thing) in found.items()), reverse=True)
    return number(total[1]), heavy


def number(text):
    return int(text.replace(",", ""))


def demangled(names):
    """Swift's names as people write them, where the toolchain's tool for that is there."""
    tool = shutil.which("swift-demangle")
    if not tool:
        return {}
    command, text = [tool, "--compact", "--simplified"], "\n".join(names)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    return dict(zip(names, lines)) if len(lines) == len(names) else {}
