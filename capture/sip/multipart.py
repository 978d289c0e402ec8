"""Bodies of several parts: what SIPREC, ISUP and location gateways wrap an SDP in.

Sources: RFC 2046 section 5.1, RFC 5621 (bodies in SIP), RFC 7866 (SIPREC). Parts are taken as they
are: no content encoding is undone. Depth and number of parts are bounded; past the bound a body is one part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from vittne.capture.sip.headers import find_blank_line, read_header, read_lines, read_params, read_text

MAX_DEPTH: Final = 3
MAX_PARTS: Final = 32
MAX_PART_HEAD: Final = 8192
MAX_BOUNDARY: Final = 200

_FIRST_BOUNDARY: Final = re.compile(rb"(?:^|\n)--([^\r\n]{1,200}?)[ \t]*\r?\n")


@dataclass(frozen=True, slots=True)
class Part:
    """One body. content_type is lower case without parameters; disposition likewise, "" when not given."""

    content_type: str
    disposition: str
    body: bytes
    content_id: str = ""


def media_type(value: str) -> tuple[str, dict[str, str]]:
    """Return the type and the parameters of a Content-Type or Content-Disposition.

    >>> media_type('Multipart/Mixed ; boundary="a b"')
    ('multipart/mixed', {'boundary': 'a b'})
    """
    kind, semicolon, rest = value.partition(";")
    return kind.strip().lower(), read_params(semicolon + rest) if semicolon else {}


def read_parts(content_type: str, disposition: str, body: bytes, content_id: str = "") -> list[Part]:
    """Return the bodies in a body, multipart ones opened, in order.

    content_type, disposition: header values, "" when absent. An empty body has no parts.
    """
    parts: list[Part] = []
    _open(parts, content_type, disposition, body, content_id, 0)
    return parts


def _open(parts: list[Part], content_type: str, disposition: str, body: bytes, content_id: str, depth: int) -> None:
    """Append the parts of one body to `parts`."""
    if not body:
        return
    kind, params = media_type(content_type)
    pieces = _split(body, params.get("boundary", "")) if kind.startswith("multipart/") and depth < MAX_DEPTH else None
    if pieces is None:
        if len(parts) < MAX_PARTS:
            parts.append(Part(kind, media_type(disposition)[0], body, content_id))
        return
    for piece in pieces:
        headers, inner = _read_head(piece)
        _open(
            parts,
            headers.get("content-type", "text/plain"),  # RFC 2046 5.1: the default
            headers.get("content-disposition", ""),
            inner,
            headers.get("content-id", "").strip("<>"),
            depth + 1,
        )


def _split(body: bytes, boundary: str) -> list[bytes] | None:
    """Return what stands between boundary lines, None without one; the last may be missing."""
    mark = boundary.encode("utf-8", "replace")[:MAX_BOUNDARY]
    if not mark:
        # A gateway that names no boundary still writes one.
        first = _FIRST_BOUNDARY.search(body)
        if first is None:
            return None
        mark = first[1]
    line = re.compile(rb"(?:\A|\r?\n)--" + re.escape(mark) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    pieces: list[bytes] = []
    begin = -1
    for found in line.finditer(body):
        if begin >= 0:
            pieces.append(body[begin : found.start()])
        if found[1] or len(pieces) == MAX_PARTS:
            return pieces
        begin = found.end()
    if begin < 0:
        return None
    pieces.append(body[begin:])
    return pieces


def _read_head(piece: bytes) -> tuple[dict[str, str], bytes]:
    """Return headers (first of each name) and body of a part; `piece` begins with the boundary's line end."""
    blank = find_blank_line(piece)
    if blank is None or blank[0] > MAX_PART_HEAD:
        return {}, piece.lstrip(b"\r\n") if blank is None else piece[blank[1] :]
    headers: dict[str, str] = {}
    for line in read_lines(read_text(piece[: blank[0]])):
        header = read_header(line)
        if header:
            headers.setdefault(*header)
    return headers, piece[blank[1] :]
