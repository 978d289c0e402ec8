"""Signalling as it may be kept: secrets and digits replaced by marks of equal length (DESIGN 5, 6).

Equal length, so that Content-Length and every offset stay true. What is replaced: credentials
(RFC 3261 22), SRTP keys (RFC 4568, 4567, 5939, 8866 5.12), and dialled digits in INFO, KPML and NOTIFY
bodies (RFC 6086, 4730 and vendors' own): only how many there were is left. When in doubt more is marked
than is secret: bodies made for digits lose every number, their durations too.
"""

from __future__ import annotations

import re
from typing import Final

_MARK: Final = b"*"
_CREDENTIALS: Final = re.compile(
    rb"(?im)^(?:proxy-)?authorization[ \t]*:[ \t]*(?P<secret>[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)"
)
_KEYS: Final = (
    # Tag and suite stay when they are where they belong; else the whole line goes.
    re.compile(rb"(?im)crypto[ \t]*:(?:[ \t]*\d+[ \t]+[\w-]+[ \t]+)?(?P<secret>[^\r\n]*)"),
    re.compile(rb"(?im)inline[ \t]*:(?P<secret>[^\r\n]*)"),
    re.compile(rb"(?im)key-mgmt[ \t]*:(?:[ \t]*[\w-]+[ \t]+)?(?P<secret>[^\r\n]*)"),
    re.compile(rb"(?im)^[ \t]*k[ \t]*=(?P<secret>[^\r\n]*)"),
)
_HAS_KEY: Final = re.compile(rb"(?i)crypto|inline|key-mgmt|\n[ \t]*k[ \t]*=")
_NAMES: Final = rb"signal|digits?|dtmf|tones?|event|key|button|keypress"
_NAMED_DIGITS: Final = (
    re.compile(rb"(?im)(?:^|[&;,?{\s])[ \t]*(?:" + _NAMES + rb"|d)[ \t]*[=:][ \t]*(?P<secret>[^\r\n&;]*)"),
    re.compile(rb"(?i)\b(?:" + _NAMES + rb")[ \t]*[=:][ \t]*[\"'](?P<secret>[^\"']*)"),
    re.compile(rb"(?i)[\"'](?:" + _NAMES + rb")[\"'][ \t]*:[ \t]*[\"']?(?P<secret>[^\"',}\r\n]*)"),
    re.compile(rb"(?i)<(?:\w+:)?(?:" + _NAMES + rb")(?:\s[^>]*)?>(?P<secret>[^<]*)"),
)
_DIGIT_TYPE: Final = re.compile(rb"(?im)^(?:content-type|c)[ \t]*:[^\r\n]*(?:dtmf|kpml|telephone-event|digit|vnd)")
_PLAIN_DIGIT_TYPE: Final = re.compile(rb"(?im)^(?:content-type|c)[ \t]*:[ \t]*[^\r\n]*(?:dtmf|digit|telephone-event)")
_PLAIN_DIGIT: Final = re.compile(rb"[0-9*#]|\b[A-Da-d]\b")
_SIGNAL: Final = re.compile(rb"(?im)^[ \t]*signal[ \t]*=[ \t]*([0-9*#a-d])[ \t]*\r?$")
_ONE_KEY: Final = re.compile(r"[0-9*#A-D]")
_WITH_DIGITS: Final = (b"INFO", b"NOTI", b"MESS")
_DIGIT_WORDS: Final = (b"dtmf", b"kpml", b"telephone-event", b"digit", b"vnd")


def has_digits(raw: bytes) -> bool:
    """Whether the body of a request carries digits that were keyed."""
    if raw[:4] not in _WITH_DIGITS:
        return False
    body = max(raw.find(b"\n\r\n"), raw.find(b"\n\n"))
    return body >= 0 and masked(raw)[body:] != raw[body:]


def signals(body: bytes) -> str:
    """Return the keys that an INFO's body says (dtmf-relay's `Signal=5`, dtmf's `5`), for who looks at them at once."""
    named = _SIGNAL.findall(body)
    if named:
        return "".join(one.decode() for one in named).upper()
    plain = body.strip().decode("ascii", "replace").upper()
    return plain if _ONE_KEY.fullmatch(plain) else ""


def masked(raw: bytes) -> bytes:
    """Return a SIP message without its secrets, as long as it was."""
    head_end = raw.find(b"\n\r\n")
    bare = raw.find(b"\n\n")
    if bare >= 0 and (head_end < 0 or bare < head_end):
        head_end = bare
    head_end = len(raw) if head_end < 0 else head_end + 1
    head = raw[:head_end].lower()
    text: bytearray | None = None
    if b"authorization" in head:
        text = bytearray(raw)
        _strike(_CREDENTIALS, text, 0)
    if head_end < len(raw) and _HAS_KEY.search(raw, head_end - 1):
        text = text or bytearray(raw)
        for pattern in _KEYS:
            _strike(pattern, text, head_end)
    if head_end < len(raw) and _may_have_digits(raw, head):
        text = text or bytearray(raw)
        for pattern in _NAMED_DIGITS:
            _strike(pattern, text, head_end)
        if _PLAIN_DIGIT_TYPE.search(head):
            text[head_end:] = _PLAIN_DIGIT.sub(_MARK, bytes(text[head_end:]))
    return raw if text is None else bytes(text)


def _may_have_digits(raw: bytes, head: bytes) -> bool:
    if raw[:4] in _WITH_DIGITS:
        return True
    return any(word in head for word in _DIGIT_WORDS) and _DIGIT_TYPE.search(head) is not None


def _strike(pattern: re.Pattern[bytes], text: bytearray, start: int) -> None:
    for found in list(pattern.finditer(bytes(text), start)):
        low, high = found.span("secret")
        text[low:high] = _MARK * (high - low)
