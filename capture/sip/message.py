"""SIP messages as values: what a recorder needs of a request or a response.

Source: RFC 3261 sections 7, 18.3 and 20. A recorder must not lose a call to a fault of syntax, so most
are read past: spaces where none belong, missing Via, Content-Type or Content-Length, headers
without a colon, more than one of what may stand once (the first counts). Refused are messages that do not say
what they are or whose they are: the start line, Call-ID, CSeq, From and To, and numbers out of range.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from vittne.capture.errors import Malformed
from vittne.capture.sip import sdp
from vittne.capture.sip.headers import (
    LISTS,
    NameAddr,
    canonical,
    find_blank_line,
    read_header,
    read_lines,
    read_name_addr,
    read_text,
    split_list,
)
from vittne.capture.sip.multipart import Part, media_type, read_parts
from vittne.capture.sip.startline import MAX_METHOD, MAX_START_LINE

__all__ = ["Message", "NameAddr", "Part", "parse"]

MAX_HEAD: Final = 64 << 10  # bytes, start line and headers
MAX_HEADERS: Final = 512
MAX_IDENTIFIER: Final = 1024  # characters of a Call-ID or a tag: they become keys of tables
MAX_CSEQ: Final = 2**32 - 1  # RFC 3261 8.1.1.5 says 2**31 - 1; senders that count on past it are seen

_STATUS_LINE: Final = re.compile(r"SIP/2\.0[ \t]+(\d+)[ \t]*(.*)", re.IGNORECASE)
_REQUEST_LINE: Final = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]++)[ \t]++(\S.*?)[ \t]SIP/2\.0", re.IGNORECASE)
_OTHER_VERSION: Final = re.compile(r"(?:.*[ \t])?SIP/\d+\.\d+", re.IGNORECASE)
_BRANCH: Final = re.compile(r";\s*branch\s*=\s*([^\s;,]+)", re.IGNORECASE)
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Message:
    """One SIP message. status is 0 in a request; request_uri and reason are "" where they do not belong."""

    method: str  # the request's; in a response the CSeq's
    request_uri: str
    status: int
    reason: str
    call_id: str
    cseq: int
    from_: NameAddr
    to: NameAddr
    content_type: str  # lower case, no parameters, "" when absent
    body: bytes
    cut: bool  # ends before its Content-Length, or before its blank line
    headers: tuple[tuple[str, str], ...] = field(repr=False)  # (long name in lower case, value), in order
    raw: bytes = field(repr=False)  # from the start line on

    @property
    def is_request(self) -> bool:
        """Whether this is a request."""
        return self.status == 0

    def get(self, name: str) -> str | None:
        """Return the first value of a header, long or compact name in any case; None when absent."""
        name = canonical(name)
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def all(self, name: str) -> list[str]:
        """Return all values of a header in order; lists (RFC 3261 7.3.1) are split at their commas."""
        name = canonical(name)
        values = [value for key, value in self.headers if key == name]
        return [item for value in values for item in split_list(value)] if name in LISTS else values

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact."""
        first = self.all("contact")[:1]
        return read_name_addr(first[0]) if first else None

    @property
    def branch(self) -> str:
        """The branch of the topmost Via; "" when there is none (RFC 2543, or no Via)."""
        found = _BRANCH.search((self.get("via") or "").partition(",")[0])
        return found[1] if found else ""

    def parts(self) -> list[Part]:
        """Return the bodies, multipart ones opened; a plain body is one part."""
        return read_parts(
            self.get("content-type") or "",
            self.get("content-disposition") or "",
            self.body,
            self.get("content-id") or "",
        )

    def sdp(self) -> sdp.Session | Malformed | None:
        """Return the first session description; None when the message has none. Parsed at every call."""
        for part in self.parts():
            # Without a Content-Type the body's first line still says what it is.
            if part.content_type == "application/sdp" or (not part.content_type and part.body.startswith(b"v=0")):
                return sdp.parse(part.body)
        return None


def parse(data: bytes) -> Message | Malformed:
    """Return the message that data (one datagram, or one message of a stream) holds.

    The body is what follows the blank line, at most Content-Length bytes; further bytes in a datagram are
    padding (RFC 3261 18.3).
    Reasons: "sip: empty", "sip: head too long", "sip: start line", "sip: version", "sip: status",
    "sip: too many headers", "sip: no call-id", "sip: call-id too long", "sip: no cseq", "sip: cseq",
    "sip: no from", "sip: no to", "sip: tag too long", "sip: content-length".
    """
    if data[:1] in {b"\r", b"\n"}:
        data = data.lstrip(b"\r\n")
    if not data:
        return Malformed("sip: empty")
    blank = find_blank_line(data)
    # Cut inside the head: its last line may have lost its end, and half a tag is worse than none.
    head_end, body_begin = blank or (data.rfind(b"\n") + 1, len(data))
    if head_end > MAX_HEAD:
        return Malformed("sip: head too long")
    lines = read_lines(read_text(data[:head_end]))
    if len(lines) > MAX_HEADERS:
        return Malformed("sip: too many headers")
    headers = tuple([header for line in lines[1:] if line and (header := read_header(line))])
    return _build(lines[0].rstrip(), headers, data, body_begin, blank is None)


def _build(
    start_line: str, headers: tuple[tuple[str, str], ...], raw: bytes, body_begin: int, cut: bool
) -> Message | Malformed:
    """Return the message of these lines, or what is wrong with it."""
    start = _read_start_line(start_line)
    if isinstance(start, Malformed):
        return start
    first = dict(reversed(headers))
    who = _read_identity(first)
    if isinstance(who, Malformed):
        return who
    call_id, from_, to = who
    cseq = _read_cseq(first.get("cseq", ""))
    if isinstance(cseq, Malformed):
        return cseq
    method, request_uri, status, reason = start
    if not method and not cseq[1]:
        return Malformed("sip: cseq", _shown(first["cseq"]))
    length = first.get("content-length", "")
    # An empty value is taken as no value; "-1" and a number of eleven digits are not.
    if length and not (length.isascii() and length.isdecimal() and len(length) <= 10):
        return Malformed("sip: content-length", _shown(length))
    body = raw[body_begin : body_begin + int(length)] if length else raw[body_begin:]
    kind = first.get("content-type", "")
    return Message(
        method or cseq[1],
        request_uri,
        status,
        reason,
        call_id,
        cseq[0],
        from_,
        to,
        media_type(kind)[0] if kind else "",
        body,
        cut or (length != "" and len(body) < int(length)),
        headers,
        raw,
    )


def _read_start_line(line: str) -> tuple[str, str, int, str] | Malformed:
    """Return method, Request-URI, status and reason; those that do not belong are empty or 0."""
    response = _STATUS_LINE.fullmatch(line)
    if response:
        code = response[1]
        if len(code) != 3 or not "100" <= code <= "699":
            return Malformed("sip: status", _shown(line))
        return "", "", int(code), response[2]
    request = _REQUEST_LINE.fullmatch(line)
    if request and len(request[1]) <= MAX_METHOD and len(line) <= MAX_START_LINE:
        return request[1], request[2].rstrip(), 0, ""
    return Malformed("sip: version" if _OTHER_VERSION.match(line) else "sip: start line", _shown(line))


def _read_identity(first: dict[str, str]) -> tuple[str, NameAddr, NameAddr] | Malformed:
    """Return Call-ID, From and To."""
    call_id, from_value, to_value = first.get("call-id"), first.get("from"), first.get("to")
    if not call_id:
        return Malformed("sip: no call-id")
    if not from_value:
        return Malformed("sip: no from")
    if not to_value:
        return Malformed("sip: no to")
    if len(call_id) > MAX_IDENTIFIER:
        return Malformed("sip: call-id too long", _shown(call_id))
    from_, to = read_name_addr(from_value), read_name_addr(to_value)
    if len(from_.tag) > MAX_IDENTIFIER or len(to.tag) > MAX_IDENTIFIER:
        return Malformed("sip: tag too long")
    return call_id, from_, to


def _read_cseq(value: str) -> tuple[int, str] | Malformed:
    """Return number and method of a CSeq; the method may be missing."""
    if not value:
        return Malformed("sip: no cseq")
    number, *method = value.split(None, 1)
    if not (number.isascii() and number.isdecimal()) or len(number) > 20 or int(number) > MAX_CSEQ:
        return Malformed("sip: cseq", _shown(value))
    return int(number), method[0][:MAX_METHOD] if method else ""


def _shown(text: str) -> str:
    """Return text fit for a person: printable ASCII, at most 200 characters."""
    return _UNPRINTABLE.sub("?", text[:200])
