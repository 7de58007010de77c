"""Draw the curves as SVG: text and lines only, in tones that can be read on light and on dark pages."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, PANEL, LEFT, RIGHT, TOP, BOTTOM, LEAST = 900, 380, 62, 226, 52, 46, 16
LARGEST = 100_000
GREY = "#7a7f87"
TONES = (
    "#3b82d0", "#d9762b", "#2f9e63", "#d0494f", "#8f6ad1", "#a0763f", "#cf5fa6", "#1f9aa6", "#8a8f2c", "#6b7fa8",
)  # fmt: skip
OURS = "eventrouter (mixed)"


@dataclass
class Curves:
    """Events a second by number of rules: of each family, and of each peer."""

    families: dict[str, dict[int, float]] = field(default_factory=dict)
    peers: dict[str, dict[int, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Scale:
    """From a rate to a height."""

    low: float
    high: float
    is_logarithmic: bool

    def height(self, rate: float) -> float:
        """Give the distance from the panel's upper edge."""
        low, high, value = (math.log10(v) if self.is_logarithmic else v for v in (self.low, self.high, rate))
        return TOP + (PANEL - TOP - BOTTOM) * (high - value) / (high - low)

    def ticks(self) -> list[float]:
        """Give the rates to draw a line at."""
        if self.is_logarithmic:
            return [10.0**power for power in range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)]
        step = self.high / 5
        return [step * number for number in range(6)]


def draw(curves: Curves, drawn: Sequence[str], subtitle: str) -> str:
    """Give an SVG of the families that are named, and below it one of the peers if any were measured."""
    families = {name: rates for name, rates in curves.families.items() if name in drawn}
    panels = [_panel("Raw JSON events a second, by number of rules", families, is_logarithmic=False)]
    if curves.peers and "mixed" in curves.families:
        against = {OURS: curves.families["mixed"], **curves.peers}
        panels.append(_panel("Other matchers, which ask one rule after the other", against, is_logarithmic=True))
    captions = subtitle.split("; ")
    height = PANEL * len(panels) + 16 * len(captions) + 8
    placed = [f'<g transform="translate(0 {PANEL * number})">{panel}</g>' for number, panel in enumerate(panels)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
            "<title>Events a second by number of rules</title>",
            *placed,
            *(_text(LEFT, height - 8 - 16 * number, line, size=11) for number, line in enumerate(reversed(captions))),
            "</svg>",
            "",
        ]
    )


def _panel(title: str, lines: Mapping[str, Mapping[int, float]], *, is_logarithmic: bool) -> str:
    rates = [rate for line in lines.values() for rate in line.values()]
    if is_logarithmic:
        scale = Scale(10 ** math.floor(math.log10(min(rates))), 10 ** math.ceil(math.log10(max(rates))), True)
    else:
        scale = Scale(0, _round_up(max(rates)), False)
    parts = [_text(LEFT, 24, title, size=15, weight="bold")]
    for rate in scale.ticks():
        y = scale.height(rate)
        parts += [_line(LEFT, y, WIDTH - RIGHT, y), _text(LEFT - 8, y + 4, _short(rate), anchor="end")]
    for power in range(round(math.log10(LARGEST)) + 1):
        x = _x(10**power)
        parts += [
            _line(x, TOP, x, PANEL - BOTTOM),
            _text(x, PANEL - BOTTOM + 18, f"{10**power:,}", anchor="middle"),
        ]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, PANEL - BOTTOM + 36, "rules", anchor="middle"))
    ends = {name: (_x(max(line)), scale.height(line[max(line)])) for name, line in lines.items()}
    labels = _apart({name: y for name, (_, y) in ends.items()})
    for number, (name, line) in enumerate(lines.items()):
        tone = TONES[number % len(TONES)]
        points = " ".join(f"{_x(size):.1f},{scale.height(rate):.1f}" for size, rate in sorted(line.items()))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{tone}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{_x(size):.1f}" cy="{scale.height(rate):.1f}" r="2.5" fill="{tone}"/>'
            for size, rate in line.items()
        ]
        x, y = ends[name]
        beside = WIDTH - RIGHT + 22
        parts += [
            _line(x + 4, y, beside - 4, labels[name], tone=tone),
            _text(beside, labels[name] + 4, f"{name} {_short(line[max(line)])}", tone=tone),
        ]
    return "".join(parts)


def _apart(heights: Mapping[str, float]) -> dict[str, float]:
    """Move labels as far apart as they need to be read, and keep them on the panel."""
    names = sorted(heights, key=lambda name: heights[name])
    placed: list[float] = []
    for name in names:
        placed.append(max(heights[name], placed[-1] + LEAST) if placed else max(heights[name], TOP))
    lowest = PANEL - BOTTOM
    for number in reversed(range(len(placed))):
        placed[number] = min(placed[number], lowest)
        lowest = placed[number] - LEAST
    return dict(zip(names, placed, strict=True))


def _x(size: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(size) / math.log10(LARGEST)


def _round_up(rate: float) -> float:
    unit = 10 ** math.floor(math.log10(rate))
    return next(unit * step for step in (1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10) if unit * step >= rate)


def _short(rate: float) -> str:
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if rate >= unit:
            return f"{rate / unit:.3g}{letter}"
    return f"{rate:.3g}"


def _line(x: float, y: float, to_x: float, to_y: float, *, tone: str = "") -> str:
    """Draw a line of the grid, or, in a tone, from a curve to its label."""
    style = f'stroke="{tone}" stroke-dasharray="2 3"' if tone else f'stroke="{GREY}" stroke-opacity="0.3"'
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" {style}/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, weight: str = "normal", tone: str = GREY
) -> str:
    style = f'text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{tone}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
