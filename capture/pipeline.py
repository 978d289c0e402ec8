"""Frames in, recordings out: signalling at once, media when it has aged (DESIGN 2).

feed() takes a block and hears what it signals. commit() takes a horizon: every packet up to it
is matched with what was expected at its own time, counted, and given back as records by call.
Pure: blocks, times and values in, values out. Nothing here runs once an RTP packet.
"""

from __future__ import annotations

import traceback
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vittne.capture import record
from vittne.capture.addresses import AddressBook
from vittne.capture.announcing import Announcing
from vittne.capture.assemble import Packets
from vittne.capture.buffers import Buffers
from vittne.capture.callbook import CallBook
from vittne.capture.calls import Call
from vittne.capture.columns import SECOND, Block, Datagrams, Segments
from vittne.capture.digits import DigitWatch
from vittne.capture.errors import Malformed
from vittne.capture.flows import FlowTable
from vittne.capture.gates import Refusal
from vittne.capture.handover import Handover
from vittne.capture.heard import Prompt
from vittne.capture.heardreport import heard_report, without_pauses
from vittne.capture.heldpauses import without_paused
from vittne.capture.keeping import RecordKeeper
from vittne.capture.link import LinkParser
from vittne.capture.listening import LISTENED
from vittne.capture.matching import Matcher, Run
from vittne.capture.media import GRACE_NS, Place
from vittne.capture.pause import Pause, PauseSettings
from vittne.capture.pausebook import PauseBook
from vittne.capture.pausekeeping import PauseKeeper, PauseRules
from vittne.capture.recordrules import RecordRules
from vittne.capture.report import call_report, stream_report
from vittne.capture.rtp import (
    DTLS,
    OTHER,
    RTCP,
    RTP,
    RTP_HEADER_BYTES,
    SIP,
    STUN,
    FlowRows,
    RtpRows,
    classify,
    first_bytes,
    join_rows,
    rtp_columns,
)
from vittne.capture.rules import Rule
from vittne.capture.sip import message as sip_message
from vittne.capture.sip.message import Message
from vittne.capture.sip.stream import Heard, TcpSip
from vittne.capture.storing import Quiet, store
from vittne.capture.streams import MIRROR_WINDOW_NS, StreamStates
from vittne.capture.tones import AHEAD_NS, Piece, ToneWatch
from vittne.capture.unheard import end_gaps
from vittne.capture.unread import count_datagrams, count_dtls, count_port
from vittne.capture.unsignalled import Unsignalled

_Datagram = tuple[int, int, int, int, bytes]  # ends and payload

_FLOW_IDLE_NS: Final = 60 * SECOND
_CROWDED_IDLE_NS: Final = SECOND // 2
_HOUSEKEEPING_NS: Final = 10 * SECOND
_UNSIGNALLED_LEAST: Final = 10  # packets; fewer are as likely some other protocol
_FAULTS_KEPT: Final = 16
_MOST_ASIDE: Final = 256 << 20  # bytes of RTP out of fragments that wait
_MOST_CONTROL: Final = 100_000  # RTCP packets that wait
_MOST_UNOPENED: Final = 256  # records of a call without a recording, beyond which its RTCP is not kept
_NAMES: Final = {DTLS: "dtls", STUN: "stun", OTHER: "other udp"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in ns, see DESIGN 11.

    media_silence_ns: an answered call without media or signalling for this long is over.
    timer_silence_ns: a call whose session timer ran out is over after this long without either.
    record_unsignalled: RTP that no signalling explains becomes calls of its own, over after unsignalled_silence_ns.
    """

    hold_back_ns: int = 5 * SECOND
    media_silence_ns: int = 3600 * SECOND
    timer_silence_ns: int = 10 * SECOND
    record_unsignalled: bool = False
    unsignalled_silence_ns: int = 10 * SECOND
    pause: PauseSettings = field(default_factory=PauseSettings)
    agent_headers: tuple[str, ...] = ()  # of SIP, that name who works on a call
    rules: tuple[Rule, ...] = ()
    recording: RecordRules = field(default_factory=RecordRules)
    listen_ns: int = 0  # of each voice, in which announcements are heard: see listening.py
    detector: str = ""  # version of who hears them


@dataclass(slots=True)
class CallWork:
    """What a commit has to write of one call. Packets are valid while the blocks they came in are held."""

    call: Call
    records: list[bytes | Packets] = field(default_factory=list)
    packets: int = 0
    closed: bool = False
    report: dict[str, Any] | None = None  # of a closed call: `show --json` without what only the store knows
    keep: bool = True  # False: what was stored of it goes (nobody answered)
    begins: bool = False  # it has a recording even if no packet is stored: all of it was paused so far
    erase: bool = False  # what was stored of it so far goes now, by policy; report says how it stands


@dataclass(slots=True)
class Commit:
    horizon_mono: int
    works: list[CallWork] = field(default_factory=list)
    packets: int = 0  # RTP packets looked at
    unsignalled: list[dict[str, Any]] = field(default_factory=list)  # streams that ended
    pauses: list[Pause] = field(default_factory=list)  # as they changed, oldest first; what was told is left out
    refused: list[Refusal] = field(default_factory=list)  # calls that may not be kept from now on


@dataclass(slots=True)
class _Control:
    mono_ns: int
    at_ns: int
    src: Place
    dst: Place
    packet: bytes


class Pipeline:
    """The whole of capture for one worker. See the module's docstring."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.addresses = AddressBook()
        self.link = LinkParser(self.addresses)
        self.tcp = TcpSip(hole_timeout_ns=min(2 * SECOND, self.settings.hold_back_ns // 2))
        self.book = CallBook(self.addresses, self.settings.hold_back_ns + GRACE_NS)
        self.pauses = PauseBook()
        self.digits = DigitWatch(self.book)
        self.tones = ToneWatch(self.digits)
        self.handover = self._new_handover()
        self.counters: Counter[str] = Counter()
        self.keeper = self._keeper()
        self.announcing = self._new_announcing()
        self.note_prompts(())
        self._begin_buffers()
        self.flows = FlowTable()
        self.states = StreamStates()
        unsignalled = Unsignalled(self.book) if self.settings.record_unsignalled else None
        self.matcher = Matcher(self.book, self.states, self.addresses, self.flows, unsignalled)
        self.outcomes: Counter[str] = Counter()  # of calls
        self.dialog_outcomes: Counter[str] = Counter()  # of answered dialogs
        self.faults: deque[str] = deque(maxlen=_FAULTS_KEPT)
        self.now_mono = 0
        self.now_at = 0
        self.tapped: list[tuple[RtpRows, FlowRows]] | None = (
            None  # that came since somebody took them; None: nobody does
        )
        self._recent: dict[_Datagram, int] = {}  # SIP over UDP, to notice a mirror's copies
        self._older: dict[_Datagram, int] = {}  # of the window before
        self._recent_since = 0
        self._kept_house = 0

    # Arrival

    def feed(self, block: Block) -> None:
        """Take in a block: SIP is heard now, RTP and RTCP wait for their commit."""
        if not len(block):
            return
        self.counters["frames"] += len(block)
        self.now_mono = max(self.now_mono, int(block.mono_ns[-1]))
        self.now_at = int(block.at_ns[-1])
        parsed = self.link.feed(block)
        heard: list[Heard] = []
        for packets in parsed.udp:
            self._datagrams(packets, packets.data is not block.data, heard)
        for segments in parsed.tcp:
            self._segments(segments, heard)
        heard += self.tcp.expire(self.now_mono)
        heard.sort(key=lambda h: h.mono_ns)
        for one in heard:
            self._count_sip(one)
            self._hear(one)

    # Around a crash and at the end of a run

    def refill(self, block: Block) -> None:
        """Take in a block again whose signalling was heard before a crash: only its media is still to be written."""
        if not len(block):
            return
        counters = self.counters.copy()
        parsed = self._refilling.feed(block)
        for packets in parsed.udp:
            self._datagrams(packets, packets.data is not block.data, None)
        self.counters = counters

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what waits for its commit: the next worker reads it from the ring again (refill)."""
        state = self.__dict__.copy()
        names = "buffers", "pauses", "keeper", "handover", "announcing", "recording", "_rtp", "_control", "_refilling"
        for name in names:
            del state[name]
        state["tapped"] = None
        return {**state, "_horizon": self.pauses.horizon_mono}

    def __setstate__(self, state: dict[str, Any]) -> None:
        horizon = state.pop("_horizon")
        self.__dict__.update(state)
        self.pauses = PauseBook()  # the parent knows them, and tells the next worker
        self.pauses.horizon_mono = horizon
        self.digits.forget_waiting()
        self.keeper = self._keeper()
        self.handover = self._new_handover()
        self.handover.listening.revive(self.now_mono)
        self.announcing = self._new_announcing()
        self.recording.revive()
        self._begin_buffers()

    def _feature_codes(self) -> tuple[str, ...]:
        settings = self.settings
        keys = {key for rule in settings.recording.rules for key in (rule.keys.consent, rule.keys.refuse) if key}
        keys |= self.announcing.codes
        return (*(rule.digits for rule in settings.rules if rule.on == "digits"), *sorted(keys))

    def note_prompts(self, prompts: Sequence[Prompt]) -> None:
        """Say which announcements count from now on. Findings name them themselves."""
        self.announcing.prompts = tuple(prompts)
        self.digits.feature_codes = self._feature_codes()

    def _keeper(self) -> PauseKeeper:
        """Make who keeps pauses, and who keeps gates."""
        self.recording = RecordKeeper(self.settings.recording, self.book, self.addresses, self.counters)
        keeper = PauseKeeper(
            PauseRules(self.settings.pause, self.settings.agent_headers, self.settings.rules),
            self.book,
            self.addresses,
            self.pauses,
            self.digits,
        )
        keeper.gates = self.recording
        return keeper

    def _new_handover(self) -> Handover:
        settings = self.settings
        return Handover(self.book, self.pauses, settings.pause, settings.record_unsignalled, settings.listen_ns)

    def _new_announcing(self) -> Announcing:
        announcing = Announcing(self.book, self.recording, self.handover.listening)
        self.keeper.announcing = announcing
        return announcing

    def _begin_buffers(self) -> None:
        self.buffers = Buffers()
        self._rtp: deque[tuple[RtpRows, FlowRows]] = deque()
        self._control: deque[_Control] = deque()
        self._refilling = LinkParser(self.addresses)

    def note_loss(self, packets: int) -> None:
        """Say that the kernel dropped packets: any call that is up may have been one of them."""
        self.counters["kernel drop"] += packets
        for call in self.book.calls.values():
            if call.is_live:
                call.reasons.add("capture-loss")

    def note_clock_step(self, step_ns: int) -> None:
        """Enter a jump of the time of day in every recording that is being made."""
        self.counters["clock steps"] += 1
        for call in self.book.calls.values():
            if call.is_live:
                call.event(self.now_at, self.now_mono, "clock-step", step_us=step_ns // 1000)

    def note_stop(self) -> None:
        """Say that the recorder is about to stop: what is up is cut short by us, not by its parties."""
        for call in self.book.calls.values():
            if call.is_live and call.answered:
                call.reasons.add("recorder-stopped")

    def _parsed(self, raw: bytes) -> Message | Malformed:
        try:
            return sip_message.parse(raw)
        except Exception as error:  # as in _hear
            self._fault(error)
            return Malformed("sip: fault of ours")

    def _fault(self, error: Exception) -> None:
        self.counters["fault in signalling"] += 1
        # Where, and what kind: an exception's own text may hold a number or a digit.
        self.faults.append(type(error).__name__ + "\n" + "".join(traceback.format_tb(error.__traceback__, -4)))

    def _count_sip(self, heard: Heard) -> None:
        message = heard.message
        if isinstance(message, Message):
            self.counters["sip requests" if message.is_request else "sip responses"] += 1
            count_port(self.counters, heard.dport if message.is_request else heard.sport)

    def _hear(self, heard: Heard) -> None:
        try:
            found = self.book.feed(heard)
            self.keeper.hear(found, heard)
            if found is not None:
                self.recording.hear(found[0], heard)
        except Exception as error:  # a fault of ours may cost this message, never the next one
            self._fault(error)

    def _datagrams(self, packets: Datagrams, aside: bool, heard: list[Heard] | None) -> None:
        if not len(packets):
            return
        head = first_bytes(packets)
        kind = classify(packets, head)
        counts = np.bincount(kind, minlength=6).tolist()
        for number, name in _NAMES.items():
            self.counters[name] += counts[number]
        if counts[OTHER]:
            rows = np.flatnonzero(kind == OTHER)
            count_datagrams(self.counters, packets.sport[rows], packets.dport[rows])
        if counts[DTLS]:
            count_dtls(self.counters, head[kind == DTLS])
        if counts[SIP] and heard is not None:
            self._sip(packets, np.flatnonzero(kind == SIP), heard)
        if counts[RTCP]:
            self._rtcp(packets, np.flatnonzero(kind == RTCP))
        if counts[RTP]:
            self._stash(packets, head, np.flatnonzero(kind == RTP), aside)

    def _stash(self, packets: Datagrams, head: npt.NDArray[np.uint8], rows: npt.NDArray[np.intp], aside: bool) -> None:
        if aside and self.buffers.side_bytes > _MOST_ASIDE:
            self.counters["too many fragments at once"] += len(rows)
            return
        if aside:
            address = np.zeros(len(packets), np.int64)
            address[rows] = self.buffers.copy_aside(packets.data, packets.offset[rows], packets.length[rows])
        else:
            address = packets.offset + self.buffers.base(packets.data)
        columns, ssrc = rtp_columns(packets, head, rows, address)
        src, dst, sport, dport = (getattr(packets, name)[rows] for name in ("src", "dst", "sport", "dport"))
        whose = FlowRows(src, dst, sport, dport, ssrc, self.flows.keys(src, dst, sport, dport, ssrc))
        self._rtp.append((columns, whose))
        if self.tapped is not None:
            self.tapped.append((columns, whose))
        self.handover.feed(columns, whose)
        self.digits.feed(columns, whose, head[rows, 0], head[rows, RTP_HEADER_BYTES], self.counters)

    def _sip(self, packets: Datagrams, rows: npt.NDArray[np.intp], heard: list[Heard]) -> None:
        data = packets.data
        names = ("src", "sport", "dst", "dport", "offset", "length", "at_ns", "mono_ns")
        columns = [getattr(packets, name)[rows].tolist() for name in names]
        for src, sport, dst, dport, offset, length, at_ns, mono_ns in zip(*columns, strict=True):
            raw = data[offset : offset + length].tobytes()
            if self._is_mirror_copy((src, sport, dst, dport, raw), mono_ns):
                self.counters["mirror duplicate"] += 1
                continue
            message = self._parsed(raw)
            heard.append(Heard(src, sport, dst, dport, at_ns, mono_ns, "udp", message, False))

    def _is_mirror_copy(self, datagram: _Datagram, mono_ns: int) -> bool:
        """Whether the same datagram came at most MIRROR_WINDOW_NS ago (DESIGN 11.8)."""
        if mono_ns - self._recent_since > MIRROR_WINDOW_NS:
            self._older, self._recent, self._recent_since = self._recent, {}, mono_ns
        before = self._recent.get(datagram) or self._older.get(datagram)
        self._recent[datagram] = mono_ns
        return before is not None and mono_ns - before <= MIRROR_WINDOW_NS

    def _rtcp(self, packets: Datagrams, rows: npt.NDArray[np.intp]) -> None:
        room = _MOST_CONTROL - len(self._control)
        if len(rows) > room:
            self.counters["rtcp flood"] += len(rows) - room
            rows = rows[:room]
        names = ("src", "sport", "dst", "dport", "offset", "length", "at_ns", "mono_ns")
        columns = [getattr(packets, name)[rows].tolist() for name in names]
        for src, sport, dst, dport, offset, length, at_ns, mono_ns in zip(*columns, strict=True):
            packet = packets.data[offset : offset + length].tobytes()
            self._control.append(_Control(mono_ns, at_ns, (src, sport), (dst, dport), packet))

    def _segments(self, segments: Segments, heard: list[Heard]) -> None:
        rows = self.tcp.rows_to_feed(segments)
        names = ("src", "sport", "dst", "dport", "seq", "tcp_flags", "offset", "length", "at_ns", "mono_ns")
        columns = [getattr(segments, name)[rows].tolist() for name in names]
        for src, sport, dst, dport, seq, flags, offset, length, at_ns, mono_ns in zip(*columns, strict=True):
            payload = segments.data[offset : offset + length].tobytes()
            heard += self.tcp.feed(src, sport, dst, dport, seq, flags, payload, at_ns, mono_ns)

    # Horizon

    def commit(self, horizon_mono: int, final: bool = False) -> Commit:
        """Return everything that is to be written of packets up to a time.

        horizon_mono: monotonic ns; usually now - hold-back. final: nothing comes after; every call is closed.
        """
        done = Commit(horizon_mono)
        for heard in self.tcp.expire(self.now_mono):  # holes are given up on a silent wire too
            self._hear(heard)
        works: dict[str, CallWork] = {}
        self.handover.follow(self.now_mono)
        self.digits.settle(horizon_mono)
        self.keeper.follow_codes(self.now_at, self.now_mono)
        self.announcing.settle()
        self._settle_pauses(done)
        self._settle_gates(works)
        rows, flows = self._due(horizon_mono)
        if rows is not None and flows is not None:
            self._media(rows, flows, works, done)
        else:
            self.matcher.apply_changes()
            self._pass_horizon(horizon_mono)
        self.handover.forget(horizon_mono)
        self._count_listened()
        for call in self.keeper.left_out():
            works.setdefault(call.id, CallWork(call)).begins = True
        self._controls(horizon_mono, works)
        self.keeper.end_gaps(horizon_mono)
        self._settle_gates(works)
        self._close(horizon_mono, final, works)
        self._settle_pauses(done)
        for call in list(self.book.calls.values()):
            if call.opened or call.id in works:
                self._sign(call, horizon_mono, works)
        done.refused = self.recording.take_refused()
        done.works = list(works.values())
        if final or horizon_mono - self._kept_house > _HOUSEKEEPING_NS:
            self._keep_house(horizon_mono, final, done)
        return done

    def _pass_horizon(self, horizon: int) -> None:
        """Say that packets up to a time are written from now on: a pause that begins before it comes too late."""
        with self.pauses.lock:
            self.pauses.horizon_mono = max(self.pauses.horizon_mono, min(horizon, self.now_mono))

    def _settle_gates(self, works: dict[str, CallWork]) -> None:
        """Write what waited for a gate that is open now; have erased what was written of a call that is refused."""
        for call in self.recording.take_decided():
            self.announcing.follow(call)
            if self.recording.erase(call):
                work = works.setdefault(call.id, CallWork(call))
                work.erase, work.report = True, self.report_of(call)
                work.records, work.packets, call.opened = [], 0, False
                for stream in call.streams.values():
                    stream.announced = False
            self._write_released(call, works)

    def _write_released(self, call: Call, works: dict[str, CallWork]) -> None:
        released, packets = self.recording.released(call)
        pieces, paused = without_paused(call, released, self.pauses)
        packets -= paused
        if paused and not packets:  # nothing is written, so what describes the streams comes again
            for stream in call.streams.values():
                stream.announced = False
        if packets:
            work = works.setdefault(call.id, CallWork(call))
            work.records += pieces
            work.packets += packets

    def report_of(self, call: Call) -> dict[str, Any]:
        """Return all that is told of a call as it stands."""
        report = call_report(call, self.states)
        site, tags, details = self.recording.report(call)
        heard = {"heard": self._heard(call, site)} if self.settings.listen_ns else {}
        return {**report, "site": site, "tags": tags, **heard, "details": {**report["details"], **details}}

    def _heard(self, call: Call, site: str) -> dict[str, Any]:
        without_pauses(call, self.pauses)
        streams = list(call.streams.values())
        keys = self.flows.keys_of(np.array([stream.flow for stream in streams], np.int32)).tolist()
        window_s = round(self.settings.listen_ns / SECOND, 3)
        return heard_report(call, dict(zip(keys, streams, strict=True)), self.settings.detector, window_s, site)

    def _settle_pauses(self, done: Commit) -> None:
        done.pauses += self.keeper.settle(self.now_at, self.now_mono)

    def _count_listened(self) -> None:
        listening = self.handover.listening
        self.counters[LISTENED] += listening.voices
        listening.voices = 0

    def in_hand(self) -> list[tuple[RtpRows, FlowRows]]:
        """Return the packets that wait for their commit, as they came."""
        return list(self._rtp)

    def all_written(self) -> None:
        """Say that the packets of all commits so far are encoded: nothing points into bytes copied aside."""
        if self.buffers.side_bytes:
            firsts = (int(rows.address[0]) for rows, _ in self._rtp)  # in order of arrival: the first is the lowest
            self.buffers.forget_side(next((first for first in firsts if self.buffers.is_aside(first)), None))

    def _due(self, horizon: int) -> tuple[RtpRows | None, FlowRows | None]:
        rows: list[RtpRows] = []
        flows: list[FlowRows] = []
        left: deque[tuple[RtpRows, FlowRows]] = deque()
        for batch, whose in self._rtp:  # all of them: those of several rings overlap in time
            cut = int(np.searchsorted(batch.mono_ns, horizon, "right"))
            if cut < len(batch):
                left.append((batch.take(slice(cut, None)), whose.take(slice(cut, None))))
            if cut:
                rows.append(batch.take(slice(cut)))
                flows.append(whose.take(slice(cut)))
        self._rtp = left
        if not rows:
            return None, None
        return join_rows(rows), join_rows(flows)

    def _media(self, rows: RtpRows, whose: FlowRows, works: dict[str, CallWork], done: Commit) -> None:
        done.packets = len(rows)
        if self.flows.is_crowded:  # a flood of SSRCs leaves sooner than a telephone that pauses
            self._forget_flows(int(rows.mono_ns[0]) - _CROWDED_IDLE_NS, False, done)
        flow, fresh = self.flows.number(whose.key)
        known = flow >= 0
        if not known.all():
            self.counters["flow table full"] += int(np.count_nonzero(~known))
            rows, whose, flow = rows.take(known), whose.take(known), flow[known]
            if not len(rows):
                self._pass_horizon(done.horizon_mono)
                return
        self.states.clear(fresh)
        self.matcher.clear(fresh)
        self.tones.clear(fresh)
        counts = np.bincount(flow)
        present = np.flatnonzero(counts)
        first = np.empty(len(counts), np.int64)
        first[flow[::-1]] = np.arange(len(flow) - 1, -1, -1)
        heads = self.matcher.match(flow, present, first[present], rows, whose)
        rank = np.empty(len(counts), np.uint16 if len(heads) <= 65_536 else np.int32)
        rank[heads] = np.arange(len(heads))
        rows = rows.take(np.argsort(rank[flow], kind="stable"))
        runs = self.matcher.runs(heads, np.cumsum(counts[heads]), rows.mono_ns)
        grouped = np.repeat(
            np.array([run.flow for run in runs], np.int32), np.array([run.end - run.begin for run in runs])
        )
        keep = self.states.update(rows, grouped, self.buffers)
        self.counters["mirror duplicate"] += int(np.count_nonzero(~keep))
        self._touch(rows, runs)
        policy, unheard = self.settings.pause.digit_policy, None
        if policy != "keep":
            pieces = [Piece(run.begin, run.end, run.stream) for run in runs if run.stream is not None]
            self.tones.listen(rows, grouped, pieces, self.buffers)
            self._listen_ahead(done.horizon_mono)
            self._note_digits()
            unheard = self.handover.unheard(rows, runs, self.flows.keys_of(np.array([run.flow for run in runs])))
            self._settle_pauses(done)  # a number may have been keyed
        self._pass_horizon(done.horizon_mono)
        quiet = Quiet(
            self.pauses,
            self.digits,
            policy,
            self.recording,
            policy == "mask" and self.settings.pause.unheard == "drop",
        )
        for call, packets in store(rows, runs, keep, self.buffers, self.counters, quiet, unheard):
            work = works.setdefault(call.id, CallWork(call))
            work.records += self._stream_records(call, int(rows.at_ns[0]))
            work.records.append(packets)
            work.packets += len(packets)
        for call, packets in self.recording.take_waiting():
            described = self._stream_records(call, int(rows.at_ns[0]))
            if self.recording.hold(call, described, packets, self.buffers, (self.now_at, self.now_mono)):
                self._write_released(call, works)
                work = works.setdefault(call.id, CallWork(call))
                work.records += [*described, packets]

    def _note_digits(self) -> None:
        """Tell of digits that were found in voices that others decode."""
        for digit in self.handover.take_digits():
            flow = int(self.flows.find(np.array([digit.key], np.uint64))[0])
            stream = self.matcher.stream_of(flow) if flow >= 0 else None
            call = stream.call if stream is not None else digit.call
            if call is not None and not call.closed:
                self.digits.note_tone(call, digit.begin_mono, digit.end_mono, digit.ssrc)

    def _listen_ahead(self, horizon: int) -> None:
        """Listen to packets just behind the horizon, of flows that are known."""
        found: list[tuple[RtpRows, FlowRows]] = []
        for batch, whose in self._rtp:
            cut = int(np.searchsorted(batch.mono_ns, horizon + AHEAD_NS, "right"))
            if cut:
                found.append((batch.take(slice(cut)), whose.take(slice(cut))))
        if not found:
            return
        rows, ends = join_rows([rows for rows, _ in found]), join_rows([whose for _, whose in found])
        flow = self.flows.find(ends.key)
        known = np.flatnonzero(flow >= 0)
        order = known[np.argsort(flow[known], kind="stable")]
        rows, flow = rows.take(order), flow[order]
        starts = np.flatnonzero(np.concatenate(([True], flow[1:] != flow[:-1]))) if len(flow) else flow
        borders = [*starts.tolist(), len(flow)]
        pieces = []
        for begin, end in pairwise(borders):
            stream = self.matcher.stream_of(int(flow[begin]))
            if stream is not None:
                pieces.append(Piece(begin, end, stream))
        self.tones.listen(rows, flow, pieces, self.buffers)

    def _touch(self, rows: RtpRows, runs: list[Run]) -> None:
        """Note when each call was heard last."""
        lasts = rows.mono_ns[[run.end - 1 for run in runs]].tolist()
        for run, mono in zip(runs, lasts, strict=True):
            if run.stream is not None and mono > run.stream.call.last_media_mono:
                call = run.stream.call
                call.last_media_mono, call.last_media_at = mono, int(rows.at_ns[run.end - 1])

    def _stream_records(self, call: Call, at_ns: int) -> list[bytes]:
        """STREAM records of streams that are new or were described anew, at or soon after a time."""
        out = []
        for stream in call.streams.values():
            if not stream.announced:
                stream.announced = True
                since = max(at_ns, self.states.tally(stream.flow).first_at)
                out.append(record.encode_json(record.STREAM, since, stream_report(stream, None), stream.number))
        return out

    def _controls(self, horizon: int, works: dict[str, CallWork]) -> None:
        waiting, self._control = self._control, deque()
        for control in waiting:
            if control.mono_ns > horizon:
                self._control.append(control)
                continue
            entry = self.book.table.find_control(control.src, control.dst, control.mono_ns)
            if entry is None:
                self.counters["rtcp without signalling"] += 1
                continue
            call = self.book.call_of(entry.session)
            if call is None or call.closed:
                continue
            if len(call.signals) >= _MOST_UNOPENED and not call.opened and call.id not in works:
                self.counters["rtcp of a call without a recording"] += 1
                continue
            ssrc = int.from_bytes(control.packet[4:8], "big")
            number = next((s.number for s in call.streams.values() if s.ssrc == ssrc), 0)
            body = self.book.ends(control.src, control.dst) + control.packet
            call.signals.append((control.mono_ns, record.encode(record.RTCP, control.at_ns, body, number)))

    def _sign(self, call: Call, horizon: int, works: dict[str, CallWork]) -> None:
        until = horizon if not call.closed else 1 << 62
        if call.signals and call.signals[0][0] <= until:
            works.setdefault(call.id, CallWork(call)).records += call.due(until)

    def _close(self, horizon: int, final: bool, works: dict[str, CallWork]) -> None:
        settings = self.settings
        least = min(settings.media_silence_ns, settings.timer_silence_ns, settings.unsignalled_silence_ns)
        silent_since = min(horizon, self.now_mono) - least
        for call in list(self.book.calls.values()):
            if call.is_live:
                if final or max(call.last_media_mono, call.last_signal_mono) < silent_since:
                    self._end_silent(call, horizon, final)
                if call.is_live:
                    continue
            # A refused attempt may be tried again under its Call-ID (401, 3xx): the tracker says when not.
            if final or (call.answered and horizon >= call.end_mono + GRACE_NS):
                self._finish(call, works)
        while self.book.unanswered:
            call = self.book.unanswered.popleft()
            if not call.closed:
                self._finish(call, works)

    def _end_silent(self, call: Call, horizon: int, final: bool) -> None:
        """End a call that nobody was heard to hang up, at the last that was heard of it."""
        now = min(horizon, self.now_mono)
        heard = max(call.last_media_mono, call.last_signal_mono)
        longest = self.settings.unsignalled_silence_ns if call.is_unsignalled else self.settings.media_silence_ns
        timers = [s.expires_mono for s in call.sessions if s.was_answered and s.is_live]
        reason = ""
        if call.answered and now - heard > longest:
            reason = "media-silence"
        elif timers and all(timers) and now > max(timers) and now - heard > self.settings.timer_silence_ns:
            reason = "session-timer"
            if call.holds:  # no media was due: it lasted as long as its timer (RFC 4028)
                heard = max(timers)
        elif final:
            reason = "capture-end"
        if not reason:
            return
        at_ns = call.last_media_at if heard == call.last_media_mono else self.now_at - (self.now_mono - heard)
        for session in call.sessions:
            if session.is_live:
                self.book.end(session, heard, at_ns, reason)

    def _finish(self, call: Call, works: dict[str, CallWork]) -> None:
        call.closed = True
        self.keeper.finish(call, self.now_at, self.now_mono)
        end_gaps(call)
        self._write_released(call, works)  # of a call that became part of an open one
        may_stay = self.recording.finish(call)
        report = self.report_of(call)
        self.outcomes[report["outcome"]] += 1
        self.dialog_outcomes.update(d["outcome"] for d in report["details"]["dialogs"] if d["answered_at"])
        work = works.setdefault(call.id, CallWork(call))
        work.closed, work.report = True, report
        work.keep = call.answered and may_stay
        if call.opened or work.packets or work.begins:
            work.records += self._stream_records(call, call.last_media_at)  # which are copies is known only now
            self._sign(call, 1 << 62, works)
        for flow in list(call.streams):
            self.matcher.release(flow)
        self.book.drop(call)

    def _keep_house(self, horizon: int, final: bool, done: Commit) -> None:
        self._kept_house = horizon
        self.book.expire(horizon)
        self.book.retire(horizon)
        self.keeper.keep_house(horizon, self.now_at - self.now_mono)
        self._forget_flows(horizon - _FLOW_IDLE_NS, final, done)
        self.handover.keep_house(horizon, _FLOW_IDLE_NS)
        self.announcing.forget_keys(self.now_mono)

    def _forget_flows(self, before_mono: int, everything: bool, done: Commit) -> None:
        """Give back the numbers of flows that are nobody's and silent; list those that had a voice."""
        for flow in self.matcher.idle(before_mono, everything):
            if not self.matcher.was_matched(flow):
                tally = self.states.tally(flow)
                if tally.packets >= _UNSIGNALLED_LEAST:
                    done.unsignalled.append(self.matcher.unsignalled_report(flow, tally))
            self.matcher.forget(flow)
            self.flows.forget(flow)
