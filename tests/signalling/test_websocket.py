"""SIP over WebSocket in clear: RFC 7118 over RFC 6455, with the upgrade seen or not."""

from __future__ import annotations

import pickle
import zlib
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vittne.capture.sip.framing import MAX_MESSAGE
from vittne.capture.sip.message import Message
from vittne.capture.sip.stream import Heard, TcpSip
from vittne.capture.sip.websocket import Agreement, WebSocketReader, find_frame, unmask

CLIENT, SERVER = (10, 40_000), (20, 80)
REQUEST = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, sip\r\n\r\n"
)
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: sip\r\n%s\r\n"
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
MASK = b"\x37\xfa\x21\x3d"


def sip(call_id: str, size: int = 0) -> bytes:
    """Return a request with a body of some size."""
    head = f"INFO sip:b@x SIP/2.0\r\nf: <sip:a@x>;tag=1\r\nt: <sip:b@x>\r\nCall-ID: {call_id}\r\nCSeq: 1 INFO\r\n"
    return f"{head}l: {size}\r\n\r\n".encode() + b"x" * size


def frame(payload: bytes, opcode: int = 1, *, final: bool = True, mask: bytes = b"", reserved: int = 0) -> bytes:
    """Return one frame (RFC 6455 5.2)."""
    size = len(payload)
    first = bytes([0x80 * final | reserved | opcode])
    bit = 0x80 if mask else 0
    if size < 126:
        length = bytes([bit | size])
    elif size < 65_536:
        length = bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([bit | 127]) + size.to_bytes(8, "big")
    return first + length + mask + unmask(payload, mask)


TALK = (
    frame(sip("one"), mask=MASK)
    + frame(sip("two", 300)[:50], final=False, mask=MASK)
    + frame(b"are you there", 9, mask=MASK)
    + frame(sip("two", 300)[50:], 0, mask=MASK)
    + frame(b"\r\n\r\n", mask=MASK)
    + frame(sip("three", 70_000), 2, mask=MASK)
    + frame(b"\x03\xe8", 8, mask=MASK)
)
NAMES = ["one", "two", "three"]


class Wire:
    """A connection of a client and a server, and the TcpSip that listens."""

    def __init__(self) -> None:
        self.tcp = TcpSip()
        self.sent = {True: 1000, False: 5000}
        self.now = 0

    def send(self, data: bytes, *, up: bool = True, flags: int = 16) -> list[Heard]:
        """Send data up (from the client) or down."""
        self.now += 1000
        src, dst = (CLIENT, SERVER) if up else (SERVER, CLIENT)
        seq = self.sent[up]
        self.sent[up] += len(data) + bool(flags & 2)
        return self.tcp.feed(*src, *dst, seq, flags, data, self.now, self.now)

    def open(self, extension: bytes = b"") -> None:
        """Shake hands and upgrade."""
        self.send(b"", flags=2)
        self.send(b"", up=False, flags=18)
        assert self.send(REQUEST) == self.send(ANSWER % extension, up=False) == []


def names(heard: list[Heard]) -> list[str]:
    """Return Call-IDs, or the reasons of what is malformed."""
    return [one.message.call_id if isinstance(one.message, Message) else one.message.reason for one in heard]


@given(st.sets(st.integers(1, len(TALK) - 1), max_size=20))
def test_cutting_the_frames_anywhere_changes_nothing(cuts: set[int]) -> None:
    wire = Wire()
    wire.open()
    edges = [0, *sorted(cuts), len(TALK)]

    heard = [one for a, b in pairwise(edges) for one in wire.send(TALK[a:b])]

    assert names(heard) == NAMES
    assert {one.transport for one in heard} == {"ws"}
    assert wire.tcp.size_bytes == 0


def test_an_upgrade_may_come_in_pieces_with_frames_right_behind_it() -> None:
    wire = Wire()
    wire.send(b"", flags=2)
    wire.send(b"", up=False, flags=18)

    up = [one for at in range(len(REQUEST)) for one in wire.send(REQUEST[at : at + 1])]
    down = wire.send(ANSWER % b"" + frame(sip("down")), up=False)

    assert up == []
    assert names(down) == ["down"]
    assert names(wire.send(TALK)) == NAMES


@pytest.mark.parametrize(
    ("request_head", "answer"),
    [
        (REQUEST.replace(b"chat, sip", b"chat, mqtt"), None),
        (REQUEST.replace(b"WebSocket\r\n", b"h2c\r\n", 1), None),
        (REQUEST, b"HTTP/1.1 403 Forbidden\r\n\r\n"),
    ],
)
def test_other_upgrades_are_ignored(request_head: bytes, answer: bytes | None) -> None:
    wire = Wire()
    wire.send(b"", flags=2)
    wire.send(b"", up=False, flags=18)

    wire.send(request_head)
    if answer:
        assert not wire.tcp.is_ignored(*CLIENT, *SERVER)
        wire.send(answer, up=False)

    assert wire.tcp.is_ignored(*CLIENT, *SERVER)


def test_the_answer_alone_tells_when_the_mirror_shows_one_direction() -> None:
    wire = Wire()

    wire.send(ANSWER % b"", up=False)

    assert names(wire.send(frame(sip("down")), up=False)) == ["down"]


@pytest.mark.parametrize("mask", [b"", MASK])
def test_frames_are_found_in_the_middle_of_a_connection(mask: bytes) -> None:
    wire = Wire()
    earlier = frame(sip("zero", 500), mask=mask)

    heard = wire.send(earlier[200:] + frame(sip("one"), mask=mask))

    assert names(heard) == ["one"]
    assert heard[0].transport == "ws"
    assert names(wire.send(frame(sip("two"), mask=mask))) == ["two"]


def test_a_hole_is_passed_and_flagged() -> None:
    wire = Wire()
    wire.open()
    wire.send(frame(sip("one"), mask=MASK)[:30])
    wire.sent[True] += 10

    wire.send(b"rest" + frame(sip("two"), mask=MASK) + frame(sip("three"), mask=MASK))
    heard = wire.tcp.expire(wire.now + 2_000_000_000)

    assert names(heard) == ["two", "three"]
    assert [one.after_hole for one in heard] == [True, False]


def deflated(messages: list[bytes]) -> list[bytes]:
    """Return frames with one compression window over all messages (RFC 7692 7.2.1)."""
    compressor = zlib.compressobj(wbits=-15)
    frames = []
    for one in messages:
        data = compressor.compress(one) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(b"\x00\x00\xff\xff")
        frames.append(frame(data[:-4], mask=MASK, reserved=0x40))
    return frames


def test_compression_is_undone_when_it_was_agreed_on() -> None:
    agreed, refused = Wire(), Wire()
    agreed.open(DEFLATE)
    refused.open()
    one, two = deflated([sip("one"), sip("two", 5000)])

    assert names(agreed.send(one + two)) == ["one", "two"]
    assert names(refused.send(one))[:1] == ["websocket: reserved bits"]


def test_a_compressed_connection_goes_on_in_the_worker_that_comes_next() -> None:
    """What a worker knows is kept at every commit, and taken up by the next one when it dies."""
    wire = Wire()
    wire.open(DEFLATE)
    wanted = [f"call-{n}" for n in range(60)]

    heard = []
    for one in deflated([sip(name, 900) for name in wanted]):  # more than a window in all
        heard += names(wire.send(one))
        wire.tcp = pickle.loads(pickle.dumps(wire.tcp))

    assert heard == wanted


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (deflated([b"x" * (MAX_MESSAGE + 1)])[0], "websocket: message too long"),
        (frame(b"\xff" * 20, reserved=0x40), "websocket: inflate"),
        (frame(b"", 3), "websocket: opcode"),
        (frame(b"x" * 126, 9), "websocket: control frame"),
        (frame(b"x", 9, final=False), "websocket: control frame"),
        (frame(b"x", 0), "websocket: fragments"),
        (frame(b"x", final=False) * 2, "websocket: fragments"),
        (b"\x82\x7f" + b"\xff" * 8, "websocket: message too long"),
        (frame(b"x", reserved=0x20), "websocket: reserved bits"),
        (frame(b"hello"), "sip: start line"),
    ],
)
def test_what_cannot_be_read_has_its_reason(data: bytes, reason: str) -> None:
    wire = Wire()
    wire.open(DEFLATE)

    assert names(wire.send(data))[0] == reason


def test_frames_are_not_seen_in_other_bytes() -> None:
    assert find_frame(b"\x81\x20" + b"GET / HTTP/1.1".ljust(32)) == -1
    assert find_frame(b"\x82\x7e") == -1
    assert find_frame(b"..." + frame(sip("one"))) == 3


@given(
    st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([TALK[:400], frame(sip("x")), b"\x81\xfe", REQUEST])))
)
def test_any_bytes_give_messages_or_reasons(pieces: list[bytes]) -> None:
    for in_step in (True, False):
        reader = WebSocketReader(Counter(), Agreement(), in_step)
        for number, piece in enumerate(pieces):
            reader.feed(piece, number % 5 == 4)
        assert reader.size <= MAX_MESSAGE + sum(map(len, pieces))
        assert reader.finish() == []
