"""The results of a run as a chart: an SVG, light or dark as its reader has it, with its numbers as a text too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.load.variants import Result

WIDTH, LEFT, RIGHT = 760, 150, 90  # of the picture, and beside the bars
BAR, STEP, HEAD, GAP = 18, 26, 34, 16

STYLE = """\
    text { fill: #4d4539; font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
    .page { fill: #fffdf8; stroke: #d8cfc0; }
    .head { fill: #9c4607; font-weight: 600; }
    .orders, .p50 { fill: #b3540b; }
    .p95 { fill: #d9b48f; }
    @media (prefers-color-scheme: dark) {
      text { fill: #d3c8b7; }
      .page { fill: #1b1814; stroke: #463e33; }
      .head { fill: #f0a057; }
      .orders, .p50 { fill: #f0a057; }
      .p95 { fill: #8a6440; }
    }"""


@dataclass(frozen=True)
class Bar:
    """A bar: the name at its left, its number, the class by which it is coloured."""

    name: str
    value: float
    kind: str
    digits: int = 0

    @property
    def number(self) -> str:
        """The number as it stands at the right of the bar."""
        return f"{self.value:.{self.digits}f}"


@dataclass(frozen=True)
class Panel:
    """Bars of one unit, below their title."""

    title: str
    bars: tuple[Bar, ...]

    @property
    def height(self) -> int:
        """The height with the title and the space below."""
        return HEAD + STEP * len(self.bars) + GAP


def svg(results: Sequence[Result], description: str) -> str:
    """Return the chart; the description says when, on what and how it was measured."""
    panels = (_orders(results), _requests(results))
    height = sum(panel.height for panel in panels) + GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        ' aria-labelledby="title desc">',
        '  <title id="title">The example shop under load, with three deliveries of a slow receiver</title>',
        f'  <desc id="desc">{escape(_sentences(panels))} {escape(description)}</desc>',
        f"  <style>\n{STYLE}\n  </style>",
        f'  <rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>',
        *_drawn(panels),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _orders(results: Sequence[Result]) -> Panel:
    bars = (Bar(result.variant.name, result.requests.rate, "orders", digits=1) for result in results)
    return Panel("Orders a second: more is better", tuple(bars))


def _requests(results: Sequence[Result]) -> Panel:
    bars = (
        Bar(f"{result.variant.name}, {kind}", getattr(result.requests, kind), kind)
        for result in results
        for kind in ("p50", "p95")
    )
    return Panel("Milliseconds of the request, median (p50) and 95th percentile (p95): less is better", tuple(bars))


def _sentences(panels: Sequence[Panel]) -> str:
    """Say what the bars show."""
    return " ".join(f"{one.title}: {', '.join(f'{bar.name} {bar.number}' for bar in one.bars)}." for one in panels)


def _drawn(panels: Sequence[Panel]) -> Iterator[str]:
    top = 0
    for panel in panels:
        yield f'  <text class="head" x="20" y="{top + HEAD - 8}">{escape(panel.title)}</text>'
        most = max(bar.value for bar in panel.bars) or 1.0
        for number, bar in enumerate(panel.bars):
            yield from _bar(bar, top + HEAD + STEP * number, (WIDTH - LEFT - RIGHT) * bar.value / most)
        top += panel.height


def _bar(bar: Bar, top: int, width: float) -> Iterator[str]:
    base = top + BAR - 4
    yield f'  <text x="20" y="{base}">{escape(bar.name)}</text>'
    yield f'  <rect class="{bar.kind}" x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR}" rx="3"/>'
    yield f'  <text x="{LEFT + width + 8:.1f}" y="{base}">{bar.number}</text>'
