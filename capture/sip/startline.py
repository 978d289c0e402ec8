"""SIP start lines: what makes bytes SIP, and where in a byte stream a message begins.

Sources: RFC 3261 sections 7.1, 7.2 and 25.1 (token, Request-Line, Status-Line). We read what the
field sends: more than one space, spaces at the end, a bare LF, a status line without its last space.
"""

from __future__ import annotations

import re
from typing import Final

MAX_START_LINE: Final = 8192
MAX_METHOD: Final = 64
UNSETTLED: Final = 1024  # a version this close to the end may yet turn out to be that of a start line

_TOKEN: Final = rb"[A-Za-z0-9\-.!%*_+`'~]"
_STATUS: Final = rb"SIP/2\.0[ \t]+[1-6]\d\d(?!\d)[^\r\n]{0,8192}"
_REQUEST: Final = _TOKEN + rb"{1,64}+[ \t]++[^ \t\r\n][^\r\n]{0,8192}?[ \t]SIP/2\.0[ \t]*"
_START: Final = re.compile(rb"[\r\n]*+(?:" + _STATUS + rb"|" + _REQUEST + rb")(?:\r?\n|\Z)", re.IGNORECASE)
_HEADER_NEXT: Final = re.compile(rb"[ \t]{0,64}\r?\n[!-9;-~]{1,64}[ \t]*:")
_RESPONSE_HERE: Final = re.compile(rb"SIP/2\.0 [1-6]\d\d(?!\d)[^\r\n]{0,512}\r?\n[!-9;-~]{1,64}[ \t]*:")
_METHOD_BEFORE: Final = re.compile(_TOKEN + rb"{1,64}\Z")
_BEGINS: Final = re.compile(rb"(?:SIP/2\.0 [1-6]\d\d|[A-Z]{3,16} (?i:sips?|tel|urn):)")


def looks_like_sip(data: bytes | bytearray) -> bool:
    """Say whether data begins with a whole start line; keep-alive CRLFs before it are passed over.

    >>> looks_like_sip(b"BYE sip:bob@example.com SIP/2.0\\r\\n"), looks_like_sip(b"GET / HTTP/1.1\\r\\n")
    (True, False)
    """
    return _START.match(data) is not None


def begins_like_sip(data: bytes) -> bool:
    """Say whether the first bytes of a start line stand here; a few dozen bytes are enough to tell."""
    return _BEGINS.match(data) is not None


def find_start(data: bytes | bytearray, begin: int = 0, searched: int = 0) -> int:
    """Return where the first message begins at or after `begin`, or -1.

    searched: bytes of data in which an earlier search, without what came since, found none.

    A place counts when a start line is followed by a header line: that tells it from the start lines in
    message/sipfrag bodies and from the versions in Via. It need not follow a line end: bodies that
    end without one are common.
    """
    at = data.find(b"SIP/2.0", max(begin, searched - UNSETTLED))
    while at >= 0:
        if _RESPONSE_HERE.match(data, at):
            return at
        if _HEADER_NEXT.match(data, at + 7):
            start = _request_before(data, at)
            if start >= begin:
                return start
        at = data.find(b"SIP/2.0", at + 7)
    return -1


def _request_before(data: bytes | bytearray, version: int) -> int:
    """Return where the request line begins whose version stands at `version`, or -1."""
    if version < 4 or data[version - 1] != 0x20:
        return -1
    uri = data.rfind(b" ", max(0, version - MAX_START_LINE), version - 1)
    if uri < 1 or version - uri < 3 or data.find(b"\n", uri, version) >= 0:
        return -1
    method = _METHOD_BEFORE.search(bytes(data[max(0, uri - MAX_METHOD) : uri]))
    return uri - len(method[0]) if method else -1
