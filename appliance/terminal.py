"""What is printed for people: tables that fit the terminal, and nothing from the wire that could steer it.

Plain text of our own and not rich: `vittne list` must be there at once, and rich takes longer to
load and lay out a table than the catalogue takes to answer.
"""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TextIO

GREEN: Final = "32"
YELLOW: Final = "33"
RED: Final = "31"
BOLD: Final = "1"
FAINT: Final = "2"

_PIPE_WIDTH: Final = 200  # columns when nobody says how wide it is: a file, a pipe
_GAP: Final = "  "
_LONGEST: Final = 300
# Letters that show nothing, change direction, or are half of one: Cc, Cf, Cs, Zl, Zp, and what no font has.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})


def clean(text: object, limit: int = _LONGEST) -> str:
    """Return text as it may go to a terminal: control and direction marks become a middle dot, long text is cut.

    >>> clean("a\\x1b[2Jb\\u202e"), clean("abcdef", 4)
    ('a·[2Jb·', 'abc…')
    """
    shown = str(text)[: limit + 1]
    if not shown.isascii() or not shown.isprintable():
        shown = "".join(map(_seen, shown))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _seen(letter: str) -> str:
    category = unicodedata.category(letter)
    return "·" if category in _UNSEEN else " " if category == "Zs" else letter


def cells(text: str) -> int:
    """Return how many columns text takes: East Asian wide letters two, combining marks none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def fit(text: str, width: int) -> str:
    """Return text cut to so many columns, with a mark where something is missing."""
    if cells(text) <= width:
        return text
    while text and cells(text) >= width:
        text = text[:-1]
    return text + "…" if width > 0 else ""


def padded(text: str, width: int, right: bool = False) -> str:
    """Return text cut or filled to exactly so many columns."""
    text = fit(text, width)
    room = " " * (width - cells(text))
    return room + text if right else text + room


def terminal_width(stream: TextIO | None = None) -> int:
    """Return how many columns there are to print in."""
    if not (stream or sys.stdout).isatty() and "COLUMNS" not in os.environ:
        return _PIPE_WIDTH
    return max(shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns, 40)


def has_colour(stream: TextIO | None = None) -> bool:
    """Say whether colours are wanted (https://no-color.org)."""
    return (stream or sys.stdout).isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def painted(text: str, colour: str) -> str:
    """Return text in a colour, where there are colours."""
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and has_colour() else text


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    least: columns below which it is not squeezed; 0 keeps it whole. spare: left out when there is
    no room, the highest number first; 0 never.
    """

    title: str
    right: bool = False
    least: int = 0
    spare: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """Text in a colour."""

    text: str
    colour: str = ""


def table(columns: Sequence[Column], rows: Sequence[Sequence[str | Cell]], width: int | None = None) -> list[str]:
    """Return the lines of a table. Texts are cleaned here; what does not fit is squeezed where it may be."""
    grid = [[_cell(cell) for cell in row] for row in rows]
    widths = [max([cells(c.title), *(cells(row[n].text) for row in grid)]) for n, c in enumerate(columns)]
    room = terminal_width() if width is None else width
    shown = _chosen(columns, widths, room)
    kept, widths = [columns[n] for n in shown], [widths[n] for n in shown]
    _squeeze(kept, widths, room - len(_GAP) * (len(kept) - 1))
    heads = [Cell(column.title, FAINT) for column in kept]
    return [_line(kept, row, widths) for row in (heads, *([row[n] for n in shown] for row in grid))]


def _cell(cell: str | Cell) -> Cell:
    return Cell(clean(cell.text), cell.colour) if isinstance(cell, Cell) else Cell(clean(cell))


def _line(columns: Sequence[Column], row: Sequence[Cell], widths: Sequence[int]) -> str:
    texts = [padded(cell.text, w, column.right) for cell, w, column in zip(row, widths, columns, strict=True)]
    texts[-1] = texts[-1].rstrip()
    return _GAP.join(painted(text, cell.colour) for text, cell in zip(texts, row, strict=True)).rstrip()


def _chosen(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """Return which columns are shown: all, or without spare ones where even squeezing makes no room."""
    shown = list(range(len(columns)))
    while sum(min(widths[n], columns[n].least or widths[n]) + len(_GAP) for n in shown) - len(_GAP) > room:
        spare = max(shown, key=lambda n: columns[n].spare)
        if not columns[spare].spare:
            break
        shown.remove(spare)
    return shown


def _squeeze(columns: Sequence[Column], widths: list[int], room: int) -> None:
    """Take from the widest of the columns that may be squeezed until all fits, or no more can be had."""
    while sum(widths) > room:
        wide = [n for n, column in enumerate(columns) if column.least and widths[n] > column.least]
        if not wide:
            return
        widest = max(wide, key=lambda n: widths[n])
        widths[widest] -= 1


def duration(seconds: float | None) -> str:
    """Return a length of time as people read it.

    >>> duration(3.05), duration(75), duration(3725.4), duration(None)
    ('0:03.1', '1:15.0', '1:02:05', '')
    """
    if seconds is None:
        return ""
    if seconds >= 3600:
        whole = round(seconds)
        return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    tenths = int(seconds * 10 + 0.5)
    return f"{tenths // 600}:{tenths // 10 % 60:02}.{tenths % 10}"
