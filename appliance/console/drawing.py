"""A SIP ladder as lines and texts with places, for a template to draw as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_COLUMN: Final = 230  # between participants, in SVG units
_LEFT: Final = 150  # of the first one; times stand left of it
_TOP: Final = 64
_ROW: Final = 40
_LETTERS: Final = 34  # of a label between two neighbours
_MOST: Final = 300  # drawn; the table has all


def drawn(ladder: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns and rows with their places. ladder: as shown, what is hidden is not in it."""
    columns = [
        {"x": _LEFT + n * _COLUMN, "address": _short(one.get("address", ""), 28), "role": one["role"]}
        for n, one in enumerate(ladder["participants"])
    ]
    rows: list[dict[str, Any]] = [_message(one) for one in ladder["messages"]]
    rows += [{**one, "is_message": False, "label": one["what"]} for one in ladder["happenings"]]
    rows.sort(key=lambda one: float(one["offset_s"]))
    for n, one in enumerate(rows[:_MOST]):
        one["y"] = _TOP + (n + 1) * _ROW
    width = max(_LEFT + (len(columns) - 1) * _COLUMN + 110, 480)
    height = _TOP + (min(len(rows), _MOST) + 1) * _ROW
    return {"columns": columns, "rows": rows[:_MOST], "width": width, "height": height, "top": _TOP}


def _message(one: Mapping[str, Any]) -> dict[str, Any]:
    begin, end = (_LEFT + one[name] * _COLUMN for name in ("source", "target"))
    is_right = end >= begin
    room = _LETTERS * max(1, abs(one["target"] - one["source"]))
    tip = end - 8 if is_right else end + 8
    return {
        **one,
        "is_message": True,
        "label": _short(str(one.get("title", "")), room),
        "begin": begin,
        "end": end,
        "middle": (begin + end) / 2 if begin != end else begin + 20,
        "is_loop": begin == end,
        "kind": _kind(one.get("status")),
        "below": _short("; ".join(one.get("sdp") or ()), room),
        "arrow": f"{end},{{y}} {tip},{{up}} {tip},{{down}}",
    }


def _kind(status: object) -> str:
    if not isinstance(status, int):
        return "request"
    return "progress" if status < 200 else "good" if status < 300 else "moved" if status < 400 else "bad"


def _short(text: str, letters: int) -> str:
    text = "".join(letter if letter.isprintable() else "�" for letter in text)
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
