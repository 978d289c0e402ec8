"""A SIP ladder as lines of text: participants are columns, messages are arrows, time runs down.

Pure: rows in, lines out. All texts are cleaned here, since most of them come from the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vittne.appliance.terminal import BOLD, FAINT, GREEN, RED, YELLOW, cells, clean, fit, padded, painted

_TIME: Final = 10  # columns for the time at the left
_LEAST: Final = 16  # columns between two participants; with less room arrows say nothing
_MOST: Final = 44
_STEMS: Final = {"signal": "─", "media": "═"}


@dataclass(frozen=True, slots=True)
class Participant:
    """A column: who it is, and where."""

    address: str
    role: str = ""  # caller, callee, proxy ...


@dataclass(frozen=True, slots=True)
class Arrow:
    """A message, or the beginning of a stream, from one participant to another (indices)."""

    at_s: float
    source: int
    target: int
    label: str
    kind: str = "signal"
    colour: str = ""
    below: tuple[str, ...] = ()  # lines under it: the session description


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that happened to nobody's arrow: a hold, a stream between addresses that have no column."""

    at_s: float
    text: str
    colour: str = YELLOW


Row = Arrow | Remark


def status_colour(status: int) -> str:
    """Return the colour of a response."""
    if not status:
        return BOLD
    return FAINT if status < 200 else GREEN if status < 300 else YELLOW if status < 400 else RED


def draw(participants: Sequence[Participant], rows: Sequence[Row], width: int) -> list[str]:
    """Return the ladder's lines, none wider than width; a plain list where the ladder has no room."""
    step = min(_MOST, (width - _TIME - 2) // max(len(participants), 1))
    if step < _LEAST or len(participants) < 2:
        return [line for row in rows for line in _listed(participants, row, width)]
    return _Ladder(participants, step, width).lines(rows)


class _Ladder:
    def __init__(self, participants: Sequence[Participant], step: int, width: int) -> None:
        self._participants = participants
        self._step = step
        self._width = width
        self._at = [_TIME + step // 2 + n * step for n in range(len(participants))]

    def lines(self, rows: Sequence[Row]) -> list[str]:
        found = [self._heads([p.role for p in self._participants], BOLD)]
        found.append(self._heads([p.address for p in self._participants], ""))
        for row in rows:
            found += self._remark(row) if isinstance(row, Remark) else self._arrow(row)
        return found

    def _heads(self, texts: Sequence[str], colour: str) -> str:
        room = self._step - 2
        line = "".join(f" {_centred(fit(clean(text), room), room)} " for text in texts)
        return painted((" " * _TIME + line).rstrip(), colour)

    def _bars(self, start: int, end: int) -> str:
        """Return columns start to end with the participants' lines in them."""
        return "".join("│" if column in self._at else " " for column in range(start, end))

    def _arrow(self, arrow: Arrow) -> list[str]:
        left, right = sorted((self._at[arrow.source], self._at[arrow.target]))
        end = self._at[-1] + 1
        if left == right:  # to itself
            room = max(self._width - left - 4, 4)
            text = fit(f"↻ {clean(arrow.label)}", room)
            return [_stamp(arrow.at_s) + self._bars(_TIME, left + 1) + " " + painted(text, arrow.colour)]
        stem = _STEMS[arrow.kind]
        room = right - left - 1
        text = fit(f" {clean(arrow.label)} ", room - 4)
        before = max((room - cells(text)) // 2, 1)
        body = stem * before + text + stem * (room - before - cells(text))
        to_right = arrow.target > arrow.source
        shaft = f"├{body[:-1]}▶│" if to_right else f"│◀{body[1:]}┤"
        line = _stamp(arrow.at_s) + self._bars(_TIME, left) + painted(shaft, arrow.colour) + self._bars(right + 1, end)
        return [line, *(self._note(text, left) for text in arrow.below)]

    def _note(self, text: str, left: int) -> str:
        """Return a line of small print that begins behind a participant's line."""
        shown = fit(clean(text), max(self._width - left - 3, 8))
        rest = self._bars(left + 3 + cells(shown), self._at[-1] + 1)
        return f"{' ' * _TIME}{self._bars(_TIME, left + 1)}  {painted(shown, FAINT)}{rest}"

    def _remark(self, remark: Remark) -> list[str]:
        start = self._at[0] + 2
        text = fit(f"· {clean(remark.text)} ·", self._width - start - 1)
        line = _stamp(remark.at_s) + self._bars(_TIME, start) + painted(text, remark.colour)
        return [line + self._bars(start + cells(text), self._at[-1] + 1)]


def _centred(text: str, width: int) -> str:
    left = (width - cells(text)) // 2
    return " " * left + padded(text, width - left)


def _listed(participants: Sequence[Participant], row: Row, width: int) -> list[str]:
    if isinstance(row, Remark):
        return [_stamp(row.at_s) + painted(fit(clean(row.text), width - _TIME), row.colour)]
    source, target = (participants[n].address for n in (row.source, row.target))
    text = fit(f"{clean(source)} → {clean(target)}  {clean(row.label)}", width - _TIME)
    below = [" " * (_TIME + 2) + painted(fit(clean(line), width - _TIME - 2), FAINT) for line in row.below]
    return [_stamp(row.at_s) + painted(text, row.colour), *below]


def _stamp(at_s: float) -> str:
    return painted(padded(f"{at_s:.3f}", _TIME - 2, right=True), FAINT) + "  "
