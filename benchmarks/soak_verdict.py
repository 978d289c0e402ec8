"""Whether something grew while a recorder ran: slopes that no single peak moves, latencies early and late, a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Sample = Mapping[str, float]
Floats = npt.NDArray[np.float64]

SKIPPED: Final = 1 / 6  # of a run: it has to warm up
GROWTH_SHARE: Final = 0.05  # of what a role has, an hour
GROWTH_MIB: Final = 16.0  # an hour; the greater of both is what may be
MORE_FILES: Final = 4  # descriptors, or a twentieth
SLOWER: Final = 1.5  # p99 late against p99 early; below LITTLE no ratio means anything
LITTLE_MS: Final = 5.0
MEMORY: Final = "_private_mib"
FILES: Final = "_fds"
LATENCIES: Final = ("pause_ms", "loop_delay_ms", "commit_ms", "metrics_ms")


def column(samples: Sequence[Sample], name: str) -> tuple[Floats, Floats]:
    """Return the times (s) and values of what samples have of a name."""
    rows = [(one["at_s"], one[name]) for one in samples if name in one]
    return np.array([at for at, _ in rows]), np.array([value for _, value in rows])


def slope(at: Floats, values: Floats) -> float:
    """Return the median of the slopes between all pairs of points, a unit of at (Theil 1950, Sen 1968)."""
    first, second = np.triu_indices(len(at), 1)
    if not len(first):
        return 0.0
    return float(np.median((values[second] - values[first]) / (at[second] - at[first])))


def judge(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the figures of flatness, and "grows": the names of what does."""
    end = samples[-1]["at_s"]
    late = [one for one in samples if one["at_s"] >= end * SKIPPED]
    third = len(late) // 3
    early, last = late[:third], late[-third:]
    found: dict[str, Any] = {"judged_s": round(end * (1 - SKIPPED))}
    grows: list[str] = []
    for name in sorted({name for one in late for name in one}):
        if name.endswith(MEMORY):
            at, values = column(late, name)
            hourly, has = 3600 * slope(at, values), float(np.median(values))
            found[name.removesuffix("_mib") + "_mib_per_h"] = round(hourly, 2)
            found[name + "_median"] = round(has, 1)
            if hourly > max(GROWTH_MIB, GROWTH_SHARE * has):
                grows.append(name)
        elif name.endswith(FILES):
            before, after = (float(np.median(column(part, name)[1])) for part in (early, last))
            found[f"{name}_early"], found[f"{name}_late"] = before, after
            if after - before > max(MORE_FILES, before / 20):
                grows.append(name)
    for name in LATENCIES:
        before, after = (column(part, name)[1] for part in (early, last))
        if not len(before) or not len(after):
            continue
        p99 = [float(np.percentile(part, 99)) for part in (before, after)]
        found[f"{name}_p99_early"], found[f"{name}_p99_late"] = round(p99[0], 2), round(p99[1], 2)
        found[f"{name}_p50_early"], found[f"{name}_p50_late"] = (round(float(np.median(v)), 2) for v in (before, after))
        found[f"{name}_p99_ratio"] = round(p99[1] / max(p99[0], 1e-9), 2)
        if p99[1] > max(LITTLE_MS, SLOWER * p99[0]):
            grows.append(name)
    found["grows"] = grows
    found["flat"] = not grows
    return found


PANELS: Final[tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]] = (
    (
        "private memory, MiB",
        (
            ("parent_private_mib", "recorder", "#1f5fa8"),
            ("worker_private_mib", "worker", "#b3541e"),
            ("analysis_private_mib", "analysis", "#3a7d44"),
        ),
    ),
    (
        "open descriptors",
        (("parent_fds", "recorder", "#1f5fa8"), ("worker_fds", "worker", "#b3541e")),
    ),
    (
        "milliseconds",
        (
            ("pause_ms", "answer to a pause", "#1f5fa8"),
            ("commit_ms", "commit, mean of 5 s", "#b3541e"),
            ("loop_delay_ms", "event loop, p99", "#3a7d44"),
        ),
    ),
    (
        "processors in use",
        (
            ("parent_cpu", "recorder", "#1f5fa8"),
            ("worker_cpu", "worker", "#b3541e"),
            ("analysis_cpu", "analysis", "#3a7d44"),
        ),
    ),
    ("ring, % full; calls up / 10", (("ring_percent", "ring", "#b3541e"), ("calls_tenth", "calls / 10", "#1f5fa8"))),
)
_WIDTH: Final = 720
_LEFT: Final = 60
_RIGHT: Final = 540
_PANEL: Final = 130
_TALL: Final = 90


def plot(samples: Sequence[Sample], title: str) -> str:
    """Return the samples as an SVG picture: one panel below the other, minutes to the right."""
    end = max(one["at_s"] for one in samples)
    height = 40 + _PANEL * len(PANELS)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
        ' font-family="sans-serif" font-size="11">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="18" font-size="13">{escape(title)}</text>',
    ]
    for number, (name, series) in enumerate(PANELS):
        lines += _panel(samples, name, series, 50 + _PANEL * number, end)
    return "\n".join([*lines, "</svg>", ""])


def _panel(
    samples: Sequence[Sample], name: str, series: Sequence[tuple[str, str, str]], top: int, end: float
) -> list[str]:
    drawn = [(label, colour, *column(samples, key)) for key, label, colour in series]
    most = max((float(values.max()) for *_, values in drawn if len(values)), default=0.0) or 1.0
    base = top + _TALL
    lines = [f'<text x="{_LEFT}" y="{top - 6}" font-weight="bold">{escape(name)}</text>']
    for share in (0.0, 0.5, 1.0):
        y = base - share * _TALL
        lines.append(f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" stroke="#ddd"/>')
        lines.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share * most:.4g}</text>')
    for minute in _minutes(end):
        x = _LEFT + (_RIGHT - _LEFT) * minute * 60 / end
        lines.append(f'<text x="{x:.1f}" y="{base + 13}" text-anchor="middle">{minute}</text>')
    for place, (label, colour, at, values) in enumerate(drawn):
        x, y = _LEFT + (_RIGHT - _LEFT) * at / end, base - _TALL * values / most
        points = " ".join(f"{one:.1f},{two:.1f}" for one, two in zip(x, y, strict=True))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
        lines.append(f'<text x="{_RIGHT + 10}" y="{top + 12 + 16 * place}" fill="{colour}">{escape(label)}</text>')
    return lines


def _minutes(end: float) -> range:
    """Return the minutes that are written below a panel."""
    return range(0, int(end // 60) + 1, max(1, int(end // 60) // 6))
