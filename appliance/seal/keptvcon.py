"""Records of a recording that was imported (appliance/vcon), types 11 and 12 of FORMAT.md."""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

from vittne.appliance.seal import records

VCON: Final = 11
MEDIA: Final = 12
MOST_TEXT: Final = 1 << 30  # bytes of the kept vCon


class KeptVcon:
    """Takes in the groups of a part, and knows the hash of the vCon in it. Bounded: a bomb is cut off."""

    def __init__(self, limit: int) -> None:
        """limit: bytes of text."""
        self._inflate = zlib.decompressobj()
        self._hash = hashlib.sha256()
        self._left = limit
        self.pieces: list[bytes] = []
        self.keep = False  # whether the text is wanted as well

    def take(self, plain: bytes, rows: records.Columns) -> None:
        """Take in a group's records. Raises ValueError: that is no text of ours."""
        for row in (rows.type == VCON).nonzero()[0].tolist():
            start = int(rows.offset[row])
            try:
                piece = plain[start : start + int(rows.length[row])]
                text = self._inflate.decompress(piece, max(self._left, 1))  # 0 would be no bound
            except zlib.error as error:
                raise ValueError("the kept vCon cannot be read") from error
            self._left -= len(text)
            if self._inflate.unconsumed_tail:
                raise ValueError("the kept vCon is longer than one may be")
            self._hash.update(text)
            if self.keep:
                self.pieces.append(text)

    def sha256(self) -> str:
        """Return the hash of the text, hex."""
        return self._hash.hexdigest()
