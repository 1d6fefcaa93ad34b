"""Curves over time as one SVG, without a library: a grid of panels, each with its own scale."""

import math
from html import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 460, 210, 58, 30, 40
COLORS = ["#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#17becf", "#7f7f7f"]
UNITS = {"s": "s", "bytes": "MB", "percentunit": "%", "cps": "/s", "Bps": "B/s"}
SCALES = {"bytes": 1e-6, "percentunit": 100}


def svg(panels, columns=3, marks=()):
    """`panels`: dicts of title, unit, and series (name to [(time, value)]). `marks`: [(time, text)], drawn in each."""
    rows = math.ceil(len(panels) / columns)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{columns * WIDTH}" height="{rows * HEIGHT}" '
        'font-family="sans-serif" font-size="10"><rect width="100%" height="100%" fill="white"/>'
    ]
    for index, panel in enumerate(panels):
        x, y = index % columns * WIDTH, index // columns * HEIGHT
        parts.append(f'<g transform="translate({x},{y})">{draw(panel, marks)}</g>')
    return "\n".join([*parts, "</svg>\n"])


def draw(panel, marks):
    scale = SCALES.get(panel.get("unit"), 1)
    series = {
        name: [(time, value * scale) for time, value in points if math.isfinite(value)]
        for name, points in panel["series"].items()
    }
    if len(series) > 8:
        # Of many curves, those that leave the floor.
        series = {name: one for name, one in series.items() if any(value for _, value in one)}
    points = [point for one in series.values() for point in one]
    unit = UNITS.get(panel.get("unit"), "")
    title = f'<text x="{LEFT}" y="18" font-size="12" font-weight="bold">{escape(panel["title"])}</text>'
    if not points:
        return title + f'<text x="{LEFT}" y="80" fill="#888">no data</text>'
    first, last = min(t for t, _ in points), max(t for t, _ in points)
    top = nice(max(v for _, v in points))
    right, floor = WIDTH - 12, HEIGHT - BOTTOM

    def at(time, value):
        x = LEFT + (time - first) / ((last - first) or 1) * (right - LEFT)
        return x, floor - value / top * (floor - TOP)

    parts = [title]
    for step in range(5):
        _, y = at(first, top * step / 4)
        parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e4e4e4"/>')
        label = f"{top * step / 4:,.4g}" if top < 1e4 else f"{top * step / 4:,.0f}"
        parts.append(f'<text x="{LEFT - 4}" y="{y + 3:.1f}" text-anchor="end" fill="#555">{label} {unit}</text>')
    for step in range(5):
        time = first + (last - first) * step / 4
        parts.append(
            f'<text x="{at(time, 0)[0]:.1f}" y="{floor + 12}" text-anchor="middle" fill="#555">{clock(time - first)}</text>'
        )
    for time, text in marks:
        if first <= time <= last:
            x, _ = at(time, 0)
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{floor}" stroke="#c00" stroke-dasharray="2 3">'
                f"<title>{escape(text)}</title></line>"
            )
    for index, (name, one) in enumerate(series.items()):
        color, dots = COLORS[index % len(COLORS)], [at(*point) for point in one]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.3"/>')
        if len(dots) == 1:
            parts.append(f'<circle cx="{dots[0][0]:.1f}" cy="{dots[0][1]:.1f}" r="2" fill="{color}"/>')
        x = LEFT + index % 4 * 100
        y = floor + 24 + index // 4 * 11
        parts.append(f'<text x="{x}" y="{y}" fill="{color}">{escape(name[:19])}</text>')
    return "".join(parts)


def nice(value):
    """A round number that is no less."""
    if value <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 4, 5, 8, 10) if power * step >= value * 0.9999)


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
