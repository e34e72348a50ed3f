"""Pictures as SVG written by hand.

Strips (`dot_svg`, `split_svg`) use per cent, so they fit any width with text of one size;
plots have a fixed drawing area that scales as a whole. Colours are classes of the style
sheet: network, rival, best, average.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from propense.evaluation.formats import format_count, format_number, format_percent
from propense.evaluation.records import Bin, Curve, Histogram, Interval
from propense.evaluation.report.page.markup import aria
from propense.words import Text, format_text

WIDTH, HEIGHT = 400, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 44


def nice_ticks(low: float, high: float, n: int = 4) -> list[float]:
    """About `n` round numbers within [low, high].

    >>> nice_ticks(0, 1)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> nice_ticks(0.71, 0.83)
    [0.725, 0.75, 0.775, 0.8, 0.825]
    """
    if high <= low:
        return [low]
    raw = (high - low) / n
    unit = 10.0 ** floor(log10(raw))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= raw * 0.8)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(at * step, 10) for at in range(first, last + 1)]


def short(value: float) -> str:
    """A tick without needless zeros.

    >>> short(0.250), short(1500.0), short(-0.1)
    ('0.25', '1,500', '−0.1')
    """
    text = f"{value:,.6f}".rstrip("0").rstrip(".")
    return text.replace("-", "−")


@dataclass(frozen=True)
class Scale:
    """From values to per cent of a strip's width."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Kept inside the strip."""
        share = (value - self.low) / (self.high - self.low)
        return 100 * min(max(share, 0.0), 1.0)

    def shows(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self) -> list[float]:
        """Two to four round numbers, few enough for a narrow strip."""
        ticks = nice_ticks(self.low, self.high, 2)
        return ticks if len(ticks) > 1 else nice_ticks(self.low, self.high, 3)


def fit_scale(intervals: Sequence[Interval], lower_is_better: bool) -> Scale:
    """A scale on which the good models are told apart.

    Models whose gap to the best is over four times the median gap fall off the scale.
    """
    defined = [entry for entry in intervals if entry.value is not None]
    values = [entry.value for entry in defined if entry.value is not None]
    if not values:
        return Scale(0, 1)
    best = min(values) if lower_is_better else max(values)
    gaps = sorted(abs(value - best) for value in values)
    limit = 4 * gaps[len(gaps) // 2] + 1e-12
    shown = [e for e in defined if e.value is not None and abs(e.value - best) <= limit]
    ends = [end for e in shown for end in (e.low, e.value, e.high) if end is not None]
    low, high = min(ends), max(ends)
    pad = 0.06 * (high - low) or 0.07 * abs(high) or 0.5
    return Scale(low - pad, high + pad)


def dot_svg(interval: Interval, scale: Scale, kind: str, label: Text) -> str:
    """One model's dot and interval on a strip; an arrow at the edge where it is off."""
    marks = [f'<rect class="tickline" x="{scale.at(tick):.1f}%"/>' for tick in scale.ticks()]
    value = interval.value
    if value is not None and not scale.shows(value):
        left = value < scale.low
        x, sign = ("0%", "◂") if left else ("100%", "▸")
        anchor = "start" if left else "end"
        marks.append(f'<text class="off" x="{x}" y="16" text-anchor="{anchor}">{sign}</text>')
    elif value is not None:
        if interval.low is not None and interval.high is not None:
            marks.append(
                f'<line class="range {kind}" x1="{scale.at(interval.low):.1f}%" '
                f'x2="{scale.at(interval.high):.1f}%" y1="11" y2="11"/>'
            )
        marks.append(f'<circle class="dot {kind}" cx="{scale.at(value):.1f}%" cy="11" r="4.5"/>')
    return f'<svg class="strip" width="100%" height="22" {aria(label)}>{"".join(marks)}</svg>'


def axis_html(scale: Scale) -> str:
    """Tick labels under a column of strips."""
    ticks = "".join(
        f'<span style="left:{scale.at(tick):.1f}%">{short(tick)}</span>' for tick in scale.ticks()
    )
    return f'<div class="axis" aria-hidden="true">{ticks}</div>'


def bar_svg(share: float, kind: str, label: Text) -> str:
    """A bar of a share of the width."""
    width = max(100 * share, 0.4 if share > 0 else 0)
    return (
        f'<svg class="bar" width="100%" height="10" {aria(label)}>'
        f'<rect class="track" width="100%" height="10" rx="2"/>'
        f'<rect class="{kind}" width="{width:.1f}%" height="10" rx="2"/></svg>'
    )


@dataclass(frozen=True)
class Plot:
    """A plot's axes: values to places in the drawing area."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    height: int = HEIGHT

    def x(self, value: float) -> float:
        share = (value - self.x_low) / ((self.x_high - self.x_low) or 1)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 2)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / ((self.y_high - self.y_low) or 1)
        return round(self.height - BOTTOM - share * (self.height - TOP - BOTTOM), 2)

    def grid(self, write: Callable[[float], str]) -> list[str]:
        """Horizontal lines with their numbers."""
        parts = []
        for tick in nice_ticks(self.y_low, self.y_high):
            y = self.y(tick)
            parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
                f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5}" text-anchor="end">'
                f"{write(tick)}</text>"
            )
        return parts

    def frame(self, x_name: Text, y_name: Text, *, percent: bool = False) -> str:
        """Grid, tick labels and the names of both axes."""
        write = format_percent if percent else short
        parts = self.grid(write)
        bottom = self.height - BOTTOM
        for tick in nice_ticks(self.x_low, self.x_high):
            parts.append(
                f'<text class="tick" x="{self.x(tick)}" y="{bottom + 16}" text-anchor="middle">'
                f"{write(tick)}</text>"
            )
        parts.append(
            f'<line class="base" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>'
        )
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(svg_text(x_name, middle, self.height - 8, "name", "middle"))
        parts.append(svg_text(y_name, LEFT, TOP - 1, "name", "start"))
        return "".join(parts)

    def line(self, xs: Sequence[float], ys: Sequence[float | None], kind: str) -> str:
        """A line through the points that are defined."""
        points = " ".join(
            f"{self.x(x)},{self.y(y)}" for x, y in zip(xs, ys, strict=True) if y is not None
        )
        return f'<polyline class="line {kind}" points="{points}"/>'

    def svg(self, body: str, label: Text) -> str:
        return f'<svg class="plot" viewBox="0 0 {WIDTH} {self.height}" {aria(label)}>{body}</svg>'


def svg_text(text: Text, x: float, y: float, kind: str, anchor: str) -> str:
    """Text in both languages at one place."""
    where = f'class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}"'
    if text.en == text.zh:
        return f"<text {where}>{escape(text.en)}</text>"
    return (
        f'<text lang="en" {where}>{escape(text.en)}</text>'
        f'<text lang="zh-Hans" {where}>{escape(text.zh)}</text>'
    )


def reliability_svg(curves: dict[str, list[Bin]], kinds: dict[str, str], label: Text) -> str:
    """What was said against what came, with the diagonal; zoomed to the values there are."""
    bins = [entry for curve in curves.values() for entry in curve]
    ends = [e.predicted for e in bins] + [
        end for e in bins for end in (e.observed.value, e.observed.high) if end is not None
    ]
    low = min([0.0, *(e.observed.low for e in bins if e.observed.low is not None)])
    high = max(ends, default=1.0) * 1.04 or 1.0
    plot = Plot(low, high, low, high)
    body = [plot.frame(format_text("predicted"), format_text("observed"))]
    body.append(plot.line([low, high], [low, high], "chance"))
    for model, curve in curves.items():
        kind = kinds[model]
        for entry in curve:
            if entry.observed.low is not None and entry.observed.high is not None:
                x = plot.x(entry.predicted)
                body.append(
                    f'<line class="range thin {kind}" x1="{x}" x2="{x}" '
                    f'y1="{plot.y(entry.observed.low)}" y2="{plot.y(entry.observed.high)}"/>'
                )
        body.append(
            plot.line(
                [e.predicted for e in curve], [e.observed.value for e in curve], f"{kind} faint"
            )
        )
        for entry in curve:
            if entry.observed.value is not None:
                body.append(
                    f'<circle class="dot {kind}" cx="{plot.x(entry.predicted)}" '
                    f'cy="{plot.y(entry.observed.value)}" r="3.6"><title>{entry.n_rows:,}: '
                    f"{format_number(entry.predicted)} → {format_number(entry.observed.value)}"
                    f"</title></circle>"
                )
    return plot.svg("".join(body), label)


def gains_svg(
    curves: Sequence[Curve], kinds: dict[str, str], names: tuple[Text, Text, Text]
) -> str:
    """Share found against share asked; `names` of x, y and the picture."""
    plot = Plot(0, 1, 0, 1)
    body = [plot.frame(names[0], names[1], percent=True), plot.line([0, 1], [0, 1], "chance")]
    body += [plot.line(curve.x, curve.y, kinds[curve.model]) for curve in reversed(curves)]
    return plot.svg("".join(body), names[2])


def histogram_svg(histogram: Histogram, threshold: float | None, label: Text) -> str:
    """Counts by score on a log scale: negatives upward, positives downward."""
    n_most = max([1, *histogram.negatives, *histogram.positives])
    edges = histogram.edges
    plot = Plot(edges[0], edges[-1], -1, 1)
    zero, reach = plot.y(0), plot.y(0) - plot.y(1)

    def height(n: int) -> float:
        return round(reach * log10(1 + n) / log10(1 + n_most), 2)

    body: list[str] = []
    bars: list[str] = []
    for at, (down, up) in enumerate(zip(histogram.positives, histogram.negatives, strict=True)):
        x, width = plot.x(edges[at]), plot.x(edges[at + 1]) - plot.x(edges[at]) - 1
        for n, kind, y in ((up, "no", zero - height(up)), (down, "yes", zero + 1)):
            if n:
                bars.append(
                    f'<rect class="{kind}" x="{x}" y="{y:.2f}" width="{width:.2f}" '
                    f'height="{height(n)}"><title>{format_count(n)}</title></rect>'
                )
    bottom = plot.height - BOTTOM
    for tick in nice_ticks(edges[0], edges[-1]):
        body.append(
            f'<text class="tick" x="{plot.x(tick)}" y="{bottom + 16}" text-anchor="middle">'
            f"{short(tick)}</text>"
        )
    power = 10
    while power <= n_most:
        for y in (zero - height(power), zero + height(power)):
            body.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
                f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5}" text-anchor="end">'
                f"{format_count(power)}</text>"
            )
        power *= 10
    body += bars
    body.append(f'<line class="base" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{zero}" y2="{zero}"/>')
    if threshold is not None and edges[0] <= threshold <= edges[-1]:
        x = plot.x(threshold)
        body.append(f'<line class="mark" x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}"/>')
        end = "end" if x > WIDTH / 2 else "start"
        offset = -5 if end == "end" else 5
        body.append(svg_text(format_text("threshold"), x + offset, TOP + 4, "name", end))
    body.append(
        svg_text(
            format_text("predicted"), (LEFT + WIDTH - RIGHT) / 2, plot.height - 8, "name", "middle"
        )
    )
    return plot.svg("".join(body), label)


def learning_svg(
    epochs: Sequence[int], values: Sequence[float | None], best: int | None, label: Text
) -> str:
    """One number by epoch, the judged epoch marked."""
    defined = [value for value in values if value is not None]
    if not defined:
        return ""
    low, high = min(defined), max(defined)
    pad = 0.08 * (high - low) or 0.5
    plot = Plot(min(epochs), max(epochs), low - pad, high + pad, height=210)
    body = [plot.frame(format_text("epoch"), Text("", ""))]
    body.append(plot.line([float(e) for e in epochs], values, "network"))
    for epoch, value in zip(epochs, values, strict=True):
        if epoch == best and value is not None:
            x, y = plot.x(epoch), plot.y(value)
            body.append(f'<line class="mark" x1="{x}" x2="{x}" y1="{TOP}" y2="{210 - BOTTOM}"/>')
            body.append(f'<circle class="dot network" cx="{x}" cy="{y}" r="4.5"/>')
    return plot.svg("".join(body), label)
