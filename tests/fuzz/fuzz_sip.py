"""Fuzzing of SIP: messages, descriptions, TCP and WebSocket streams.

Each `fuzz_*` function takes any bytes and raises when something that must hold does not: nothing but our own values
comes back, bounds hold, and cutting a stream differently changes nothing.

With coverage guidance (`pip install atheris`): python tests/fuzz/fuzz_sip.py stream -max_total_time=60
Without, from seeds with random changes: see test_fuzz_sip.py beside this file.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Final

from vittne.capture.errors import Malformed
from vittne.capture.sip import sdp
from vittne.capture.sip.framing import MAX_MESSAGE
from vittne.capture.sip.message import Message, parse
from vittne.capture.sip.stream import Heard, TcpSip, looks_like_sip
from vittne.capture.sip.websocket import unmask

_SDP: Final = b"""\
v=0
o=- 1 2 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1/127/3
t=0 0
a=group:BUNDLE 0
m=audio 49170/2 RTP/SAVP 8 97 101
a=rtpmap:97 iLBC/8000/1
a=fmtp:101 0-15
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk|2^20|1:4
a=candidate:1 1 UDP 2130706431 10.0.1.1 8998 typ host
a=rtcp:53020 IN IP6 2001:db8::2
a=ptime:20.5
a=ssrc:1234 cname:x
""".replace(b"\n", b"\r\n")

_INVITE: Final = b"""\
INVITE sip:bob@example.com SIP/2.0
Via: SIP/2.0/TCP a.example.com;branch=z9hG4bK1, SIP/2.0/UDP b
f: "A, \\"B\\"" <sip:alice%40x@example.com>;tag=1
t: <tel:+4612345;phone-context=x>
i: call-1
CSeq: 1 INVITE
m: <sip:a@192.0.2.1>;expires=7
c: multipart/mixed;boundary=b
Subject: folded
 line
l: LENGTH

""".replace(b"\n", b"\r\n")
_BODY: Final = b"--b\r\nContent-Type: application/sdp\r\n\r\n" + _SDP + b"\r\n--b--\r\n"
_OK: Final = b"SIP/2.0 200 OK\r\nf: <sip:a@x>\r\nt: <sip:b@x>\r\ni: 1\r\nCSeq: 1 BYE\r\nl: 0\r\n\r\n"
_UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
    b"\x81\x80|1234" + b"\x81\xfe\x00\x56abcd" + unmask(_OK.ljust(86), b"abcd") + b"\x01\x05SIP/2\x89\x00\x80\x02.0"
)

MESSAGE: Final = _INVITE.replace(b"LENGTH", b"%d" % len(_BODY)) + _BODY
SEEDS: Final = {
    "message": [MESSAGE, _OK],
    "sdp": [_SDP],
    "stream": [MESSAGE + b"\r\n\r\n" + _OK + MESSAGE, _UPGRADE, MESSAGE[200:] + _OK],
}


def fuzz_message(data: bytes) -> None:
    """Read a datagram in every way there is."""
    looks_like_sip(data)
    message = parse(data)
    if isinstance(message, Malformed):
        _check(message)
        return
    assert len(message.body) <= len(data)
    assert message.call_id
    assert 0 <= message.cseq < 2**32
    assert message.is_request == (message.status == 0)
    for name, value in message.headers:
        assert message.get(name) is not None
        assert sum(map(len, message.all(name))) <= sum(len(text) for key, text in message.headers if key == name)
        assert "\n" not in value
    for who in (message.from_, message.to, message.contact):
        assert who is None or isinstance(who.user, str)
    assert sum(len(part.body) for part in message.parts()) <= len(message.body)
    assert isinstance(message.branch, str)
    hash(message)
    session = message.sdp()
    if isinstance(session, Malformed):
        _check(session)


def fuzz_sdp(data: bytes) -> None:
    """Read a session description."""
    session = sdp.parse(data)
    if isinstance(session, Malformed):
        _check(session)
        return
    for media in session.media:
        assert 0 <= media.port <= 65_535
        assert media.ptime_ms is None or 0 < media.ptime_ms <= 1000
        assert all(0 <= number <= 127 and one.clock_rate > 0 for number, one in media.payloads.items())
        assert isinstance(media.is_held, bool)


def fuzz_stream(data: bytes) -> None:
    """Read a connection whole and cut to pieces (after its first bytes): it must come to the same."""
    random = Random(data[:8])
    # Without Content-Length an SDP lasts to the end of what has come: there the cuts do matter.
    data = data.replace(b"v=0", b"v:0")
    for opened in (True, False):
        cuts = sorted(random.randrange(len(data)) for _ in range(min(len(data), random.randrange(12))))
        whole, pieces = _listen([0, len(data)], data, opened), _listen([0, *cuts, len(data)], data, opened)
        if opened:
            assert [one.message for one in whole] == [one.message for one in pieces]


def _listen(edges: list[int], data: bytes, opened: bool) -> list[Heard]:
    """Return what is heard of one direction that sends data in these pieces."""
    tcp = TcpSip(ignored_slots=256)
    if opened:
        tcp.feed(1, 2, 3, 4, 99, 2, b"", 0, 0)
    heard: list[Heard] = []
    for begin, end in pairwise(edges):
        heard += tcp.feed(1, 2, 3, 4, 100 + begin, 16, data[begin:end], end, end)
        assert tcp.size_bytes <= MAX_MESSAGE + len(data)
    for one in heard:
        if isinstance(one.message, Message):
            assert len(one.message.raw) <= MAX_MESSAGE
        else:
            _check(one.message)
    tcp.expire(2**62)
    assert tcp.size_bytes == tcp.connections == 0
    return heard


def _check(malformed: Malformed) -> None:
    """Check that a refusal can be counted and shown."""
    assert malformed.reason.isascii()
    assert malformed.reason.isprintable()
    assert len(malformed.reason) < 60
    assert len(malformed.detail) <= 200
    assert malformed.detail.isprintable()


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "message": fuzz_message,
    "sdp": fuzz_sdp,
    "stream": fuzz_stream,
}


def mutate(data: bytes, random: Random) -> bytes:
    """Return data with a few random changes: bytes set, taken out, doubled, moved, or digits and marks put in."""
    changed = bytearray(data)
    for _ in range(random.randrange(1, 6)):
        at, size = random.randrange(len(changed) + 1), random.randrange(1, 40)
        piece = bytes(changed[at : at + size])
        match random.randrange(5):
            case 0:
                changed[at : at + 1] = random.randbytes(1)
            case 1:
                del changed[at : at + size]
            case 2:
                changed[at:at] = piece * random.randrange(1, 5)
            case 3:
                goal = random.randrange(len(changed) + 1)
                changed[goal:goal] = piece
            case _:
                marks = [b"\r\n", b"\n", b"\r\n\r\n", b'"', b"<", b">", b";", b",", b"%", b"\x00", b"-1", b"9" * 30]
                changed[at:at] = random.choice(marks)
    return bytes(changed)


def main() -> None:
    """Run one target under atheris: fuzz_sip.py TARGET [libFuzzer options]."""
    import atheris  # noqa: PLC0415 (needed for this only)

    name = sys.argv.pop(1)
    target = TARGETS[name]
    atheris.instrument_all()
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(SEEDS[name]):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, folder], lambda data: target(bytes(data)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
