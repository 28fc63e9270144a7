"""Figures beside the bar they are held to and the ceiling of the same run, written as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure: the median of its runs. `higher` tells which way is better."""

    what: str
    unit: str
    runs: Sequence[float]
    bar: float | None = None
    higher: bool = False
    ceiling: str = ""
    note: str = ""

    @property
    def value(self) -> float:
        return median(self.runs)

    @property
    def met(self) -> bool | None:
        if self.bar is None:
            return None
        return self.value >= self.bar if self.higher else self.value <= self.bar

    @property
    def row(self) -> str:
        bar = "" if self.bar is None else f"{'≥' if self.higher else '≤'} {number(self.bar)} {self.unit}"
        met = {True: "yes", False: "**no**", None: ""}[self.met]
        spread = f" ({number(min(self.runs))} … {number(max(self.runs))})" if len(self.runs) > 1 else ""
        cells = (self.what, f"{number(self.value)} {self.unit}{spread}", bar, met, self.ceiling, self.note)
        return f"| {' | '.join(cells)} |"


HEAD = (
    "| what | measured (least … most) | to reach | met | beside it, in the same run | remark |\n"
    "|---|---|---|---|---|---|"
)


def table(figures: Sequence[Figure]) -> str:
    return "\n".join([HEAD, *(figure.row for figure in figures)])


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percentile(values: Sequence[float], share: int) -> float:
    """Return the value below which `share` per cent of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)]
