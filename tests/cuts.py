"""A recording of three parts, made by hand, and cuts of it: for tests of versions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from vittne.appliance.control.operation import Caller, done_by
from vittne.appliance.cut import CutOrder, cutting
from vittne.appliance.cutplan import Span, plan_cut
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.opened import open_recording
from vittne.appliance.policy.decide import NO_RULES, PolicyRules
from vittne.appliance.registrar import CallClosed, PartClosed, PartOpened, Registrar
from vittne.appliance.seal.keys import make_capsule, unlock
from vittne.appliance.seal.manifest import digest, meta_body
from vittne.appliance.seal.part import PartWriter
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import FINISHED, CallRow, StreamRow
from vittne.capture import record

REC = str(UUID(int=7 << 96))
START_US = 1_700_000_000_000_000
MS = 1_000_000
PACKETS = 50  # in a part: one second
SECRET = b"4111 1111 1111 1111 "


def packet(n: int) -> bytes:
    """The RTP packet of number n, 20 ms each; every payload is like no other."""
    return b"\x80\x08" + n.to_bytes(2, "big") + (n * 160).to_bytes(4, "big") + b"SSRC" + SECRET * 7 + b"%020d" % n


def at(milliseconds: int) -> int:
    return START_US * 1000 + milliseconds * MS


def three_parts(
    data: Path, crashed: bool = False, policy: PolicyRules = NO_RULES, life: LifePolicy | None = None
) -> Path:
    """Make a data directory with one call of three seconds, a part each; return the recording's folder.

    crashed: the writer of the last part was killed, so that it has no META and no END.
    """
    registrar = Registrar(data, policy)
    registrar.life_policy = life or LifePolicy()
    stream = StreamRow("caller", "PCMA", 8, 8000, 0x53535243, "10.0.0.1:4000", "10.0.0.2:5000", 150, 150, START_US, 0)
    row = CallRow(
        REC,
        FINISHED,
        ("a@b",),
        "sip:100@example.org",
        "sip:200@example.org",
        START_US,
        START_US,
        START_US + 3_000_000,
        outcome="recorded",
        streams=(stream,),
        details={"flags": [], "gaps": [], "voices": []},
    )
    report = row.as_json()
    report["streams"][0]["number"] = 1
    folder = registrar.store.open_recording(REC, START_US)
    meta = meta_body(report)
    parts = []
    for n in range(3):
        key = os.urandom(32)
        registrar.open_parts([PartOpened(REC, n, make_capsule(registrar.public, key, REC, n))])
        writer = PartWriter(folder / f"part-{n}.floe", REC, n, key)
        said = {
            "party": "caller",
            "seat": 0,
            "ssrc": "53535243",
            "kind": "audio",
            "formats": {"8": ["PCMA", 8000, 1, ""]},
        }
        if n == 0:
            writer.append([record.encode_json(record.STREAM, at(0), said, 1)])
        for first in range(n * PACKETS, (n + 1) * PACKETS, 10):  # a group is a fifth of a second
            numbers = range(first, first + 10)
            writer.append([record.encode(record.RTP, at(20 * i), packet(i), stream=1) for i in numbers])
        writer.append([record.encode(record.RTCP, at(1000 * n + 505), b"{}\n\x80\xc9", stream=1)])
        tail = [record.encode(record.META, at(3000), meta)] if n == 2 else []
        is_cut = crashed and n == 2
        done = writer.abandon() if is_cut else writer.finish(tail, at(3000))
        index = tuple((offset, (at_ns or 0) // 1000) for offset, at_ns in done.index)
        span = (at(1000 * n) // 1000, at(1000 * n + 999) // 1000)
        parts.append(PartClosed(n, done.bytes, done.groups, done.sha256, *span, is_cut, index, done.contents))
    hidden = str(folder.relative_to(registrar.store.recordings_dir))
    registrar.close_calls([CallClosed(report, hidden, tuple(parts), "" if crashed else digest(meta))])
    registrar.close()
    return folder.with_name(REC)


def call_of(data: Path) -> CallRow:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return catalogue.get(REC)


@contextmanager
def cut_steps(data: Path, begin_ms: int, end_ms: int) -> Iterator[Iterator[str]]:
    """Give the steps of a cut, to be gone one by one."""
    registrar = Registrar(data)
    try:
        call = call_of(data)
        with open_recording(data, call.folder, call.id) as opened:
            plan = plan_cut(opened, Span(at(begin_ms), at(end_ms)))
        do = done_by(registrar, Caller("Ann"))
        yield cutting(data, do, unlock(data), call, CutOrder("Ann", "a card was read out", plan))
    finally:
        registrar.close()


def cut_span(data: Path, begin_ms: int, end_ms: int) -> list[str]:
    """Cut; return the names of the steps."""
    with cut_steps(data, begin_ms, end_ms) as steps:
        return list(steps)


def records_of(data: Path) -> list[tuple[int, int, bytes]]:
    """Return (type, time, body) of every record, in the order in which they are read."""
    call = call_of(data)
    with open_recording(data, call.folder, call.id) as opened:
        return [
            (int(rows.type[i]), int(rows.at_ns[i]), plain[int(rows.offset[i]) : int(rows.offset[i] + rows.length[i])])
            for _, plain, rows in opened.read()
            for i in range(len(rows))
        ]
