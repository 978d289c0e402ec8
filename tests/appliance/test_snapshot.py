"""Memory that outlives a worker."""

from __future__ import annotations

import os
import pickle

from vittne.appliance.snapshot import Freezer, Snapshots, make_memory
from vittne.capture.sip import sdp


def test_the_newest_whole_snapshot_is_read_and_a_torn_one_is_not() -> None:
    fds = make_memory()
    snapshots = Snapshots(fds)
    assert snapshots.read() is None

    snapshots.write([b"first" * 999, b"first"])
    snapshots.write([b"second"])
    assert Snapshots(fds).read() == b"second"

    newest = fds[2 % 2]
    os.pwrite(newest, b"!", os.fstat(newest).st_size - 1)
    assert Snapshots(fds).read() == b"first" * 1000
    for fd in fds:
        os.close(fd)


def test_a_writer_that_comes_after_another_goes_on_counting() -> None:
    fds = make_memory()
    Snapshots(fds).write([b"one"])
    Snapshots(fds).write([b"two"])
    Snapshots(fds).write([b"three"])
    assert Snapshots(fds).read() == b"three"
    Snapshots(fds).clear()
    assert Snapshots(fds).read() is None
    for fd in fds:
        os.close(fd)


def test_what_is_frozen_twice_comes_back_equal_and_shared_where_it_was_shared() -> None:
    session = sdp.parse(
        b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    )
    assert isinstance(session, sdp.Session)
    media = session.media[0]
    freezer = Freezer()
    for state in ([media, media], {"a": media, "n": 1}):
        assert pickle.loads(b"".join(freezer.freeze(state))) == state
    twice = pickle.loads(b"".join(freezer.freeze([media, media])))
    assert twice[0] is twice[1]
