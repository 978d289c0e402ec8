"""What goes over when voices are handed over to be decoded, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vittne.capture.flows import Flow
from vittne.capture.rtp import RtpRows
from vittne.codecs.formats import Format


@dataclass(frozen=True, slots=True)
class Voice:
    """What somebody must know who is to decode a flow. is_new: the number meant another flow before."""

    number: int
    formats: dict[int, Format]
    cryptos: tuple[str, ...] = field(repr=False)  # the sender's key lines (RFC 4568), oldest first; none: not sealed
    is_new: bool


@dataclass(slots=True)
class Piece:
    """Rows in order of arrival, the voice of each, and the voices that are new or changed."""

    rows: RtpRows
    number: Flow
    voices: list[Voice]
    listen: npt.NDArray[np.bool_] | None = None  # (n,) whether more than tones is to be heard in it; None: in none

    def __len__(self) -> int:
        return len(self.number)

    def part(self, which: npt.NDArray[np.bool_], voices: list[Voice]) -> Piece:
        """Return some of the rows."""
        listen = None if self.listen is None else self.listen[which]
        return Piece(self.rows.take(which), self.number[which], voices, listen)


@dataclass(frozen=True, slots=True)
class Tone:
    """A digit was found in a voice: monotonic ns of the first and the last packet with a piece of it."""

    number: int
    begin_mono: int
    end_mono: int
