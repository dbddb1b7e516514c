"""Tables of 100 columns at most, and the verdict on each bar."""

from dataclasses import dataclass

WIDTH = 100
MB = 1_000_000
MIB = 1 << 20


def table(headings, rows, left=2):
    """Aligned columns, the first `left` of them to the left. A first column that would make it too wide is cut."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [headings] + rows) for i in range(len(headings))]
    widths[0] = max(8, widths[0] - max(0, sum(widths) + 2 * (len(widths) - 1) - WIDTH))
    lines = []
    for row in [headings] + rows:
        first = row[0] if len(row[0]) <= widths[0] else row[0][: widths[0] - 1] + "…"
        cells = zip([first, *row[1:]], widths)
        lines.append("  ".join(cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(cells)).rstrip())
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def seconds(value):
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def mb(value):
    return f"{value / MB:,.2f}" if value < 10 * MB else f"{value / MB:,.0f}"


def mib(value):
    return f"{value / MIB:,.1f}" if value < 10 * MIB else f"{value / MIB:,.0f}"


def ratio(value):
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


@dataclass
class Bar:
    """One promise, and what became of it. `verdict` is PASS, MISS, or a word on why it says nothing."""

    part: str
    what: str
    measured: str
    bar: str
    verdict: str


class Report:
    """Collects what the parts find: prints as it comes, keeps the bars for the end, and everything for --output."""

    def __init__(self):
        self.bars = []
        self.record = {}
        self.failures = []
        self.part = ""

    def say(self, text=""):
        print(text, flush=True)

    def title(self, part, text):
        self.part = part
        self.say(f"\n== {part}: {text}")

    def keep(self, name, value):
        """A figure for --output."""
        self.record.setdefault(self.part, {})[name] = value

    def at_most(self, what, measured, bar, show=ratio, unit=""):
        self.judge(what, measured, bar, measured <= bar, "≤", show, unit)

    def at_least(self, what, measured, bar, show=ratio, unit="", excuse=None):
        """`excuse`: the word in place of MISS where the measurement says nothing about the bar."""
        self.judge(what, measured, bar, measured >= bar, "≥", show, unit, excuse)

    def judge(self, what, measured, bar, holds, sign, show, unit, excuse=None):
        verdict = "PASS" if holds else excuse or "MISS"
        self.bars.append(Bar(self.part, what, show(measured) + unit, f"{sign} {show(bar)}{unit}", verdict))

    def holds(self, what, measured, bar, holds):
        """A bar that is not a number."""
        self.bars.append(Bar(self.part, what, measured, bar, "PASS" if holds else "MISS"))

    def failed(self, part, reason):
        self.failures.append(part)
        self.say(f"FAILED {part}: {reason}")
        self.bars.append(Bar(part, "failed, no figures: see above", "-", "-", "FAILED"))

    def finish(self):
        """Prints the bars; gives the exit code: 0 all met, 1 one missed, 2 a part failed."""
        self.say("\n== bars")
        if not self.bars:
            self.say("none in what was measured")
        else:
            rows = [[b.part, b.what, b.measured, b.bar, b.verdict] for b in self.bars]
            self.say(table(["part", "bar", "measured", "must be", "verdict"], rows))
        return 2 if self.failures else 1 if any(bar.verdict == "MISS" for bar in self.bars) else 0


def works_table(works, stored):
    """The common table. `works`: {work: {tool: Costs}}; `stored`: {work: {tool: bytes}}."""
    rows = []
    for work, costs in works.items():
        for tool, cost in costs.items():
            weight = stored.get(work, {}).get(tool)
            others = [costs.get(other) if other != tool else None for other in ("restic", "borg")]
            against = [ratio(cost.wall / other.wall) if other else "" for other in others]
            rows.append([
                work, tool, seconds(cost.wall), f"{cost.spread * 100:.0f}", seconds(cost.cpu), mib(cost.peak_bytes),
                mb(cost.read_bytes), mb(weight) if weight is not None else "", *against,
            ])
    return table(["work", "tool", "wall s", "±%", "cpu s", "peak MiB", "disk MB", "stored MB", "/restic", "/borg"], rows)
