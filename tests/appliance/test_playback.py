"""From a recording's sealed records to voices: who is left and right, and what is heard once."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from builders import Scenario
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Policy, Session
from recordings import Recorded, correlation
from scenarios import basic, changes, transfers
from scenarios.catalogue import ALL

from vittne.appliance.keyring import envelope
from vittne.appliance.keyring.ring import replace_ring
from vittne.appliance.opened import NotPlayable, OpenedRecording, open_recording
from vittne.appliance.playback import Playback
from vittne.appliance.rtprows import read_rtp
from vittne.appliance.seal import records
from vittne.appliance.seal.keys import KeysExposed, KeysLocked, KeysMissing, unlock
from vittne.capture.columns import SECOND
from vittne.codecs.timeline import Rendering, lay_out
from vittne.codecs.tracks import Side

I16 = npt.NDArray[np.int16]
Record = Callable[[Scenario], Recorded]


def opened(found: Recorded) -> OpenedRecording:
    return open_recording(found.data, found.call.folder, found.call.id)


def heard(found: Recorded, party: str = "both", from_answer: bool = False) -> tuple[Rendering, I16, list[str]]:
    """Return the rendering of a recording's only call, its samples and what notes say."""
    with opened(found) as recording:
        voices = Playback(recording).voices(found.call, party, from_answer)
        rendering = lay_out(voices.tracks, voices.gaps, voices.from_ns, voices.to_ns)
        return rendering, rendering.whole(), [note.reason for note in voices.notes]


def match(rendering: Rendering, column: I16, at_ns: int, spoken: I16) -> float:
    start = (at_ns - rendering.from_ns) * rendering.sample_rate // SECOND
    piece = column[start : start + len(spoken)]
    return correlation(piece, spoken[: len(piece)])


def test_each_party_is_heard_on_its_own_side(plain: Recorded) -> None:
    rendering, stereo, notes = heard(plain)

    (call,) = plain.scenario.truth.calls
    for party, side, other in (("caller", 0, 1), ("callee", 1, 0)):
        (sound,) = call.of(party)[0].sounds
        assert match(rendering, stereo[:, side], sound.at_ns, sound.samples) > 0.98
        assert abs(match(rendering, stereo[:, other], sound.at_ns, sound.samples)) < 0.3
    assert notes == []


def test_the_sound_is_as_long_as_the_call(plain: Recorded) -> None:
    rendering, stereo, _ = heard(plain)

    duration_s = plain.call.duration_s
    assert duration_s is not None
    assert abs(len(stereo) / rendering.sample_rate - duration_s) < 0.02


def test_early_media_is_heard_before_the_answer_unless_left_out(recorded: Record) -> None:
    found = recorded(basic.early_media())

    whole, stereo, _ = heard(found)
    answered, short, _ = heard(found, from_answer=True)

    (call,) = found.scenario.truth.calls
    assert call.answered_at_ns is not None
    early = min(stream.first_at_ns for stream in call.streams)
    assert early < call.answered_at_ns
    assert abs(whole.from_ns - early) < 20_000_000
    assert answered.from_ns == call.answered_at_ns // 1000 * 1000
    assert np.array_equal(stereo[-len(short) :], short) or abs(len(stereo) - len(short)) > 0
    assert abs(len(short) / answered.sample_rate - (found.call.duration_s or 0)) < 0.02


def test_one_party_alone_keeps_the_times_of_the_call(plain: Recorded) -> None:
    both, stereo, _ = heard(plain)
    caller, alone, _ = heard(plain, "caller")

    assert (caller.from_ns, caller.to_ns) == (both.from_ns, both.to_ns)
    assert np.array_equal(alone[:, 0], stereo[:, 0])
    assert not alone[:, 1].any()


@pytest.mark.parametrize("suite", ["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"])
def test_srtp_is_decrypted_with_the_keys_of_the_signalling(recorded: Record, suite: str) -> None:
    found = recorded(basic.encrypted_with_keys(suite))

    rendering, stereo, notes = heard(found)

    for party, side in (("caller", 0), ("callee", 1)):
        (sound,) = found.scenario.truth.calls[0].of(party)[0].sounds
        assert match(rendering, stereo[:, side], sound.at_ns, sound.samples) > 0.98
    assert notes == []


def test_both_legs_of_a_b2bua_are_heard_once(recorded: Record) -> None:
    found = recorded(transfers.b2bua("session-id"))

    with opened(found) as recording:
        voices = Playback(recording).voices(found.call)
    rendering, stereo, _ = heard(found)

    assert sorted(track.side for track in voices.tracks) == [Side.LEFT, Side.RIGHT]
    (sound,) = next(s for s in found.scenario.truth.calls[0].of("caller") if not s.copy_of).sounds
    piece = stereo[(sound.at_ns - rendering.from_ns) * 8000 // SECOND :, 0][: len(sound.samples)]
    assert match(rendering, stereo[:, 0], sound.at_ns, sound.samples) > 0.98
    assert 0.9 < np.abs(piece.astype(float)).sum() / np.abs(sound.samples.astype(float)).sum() < 1.1


def test_a_hold_is_a_gap_of_its_true_length(recorded: Record) -> None:
    found = recorded(changes.hold("inactive"))

    rendering, stereo, _ = heard(found)

    ((start, end, _),) = found.scenario.truth.calls[0].held
    first, last = ((at - rendering.from_ns) * rendering.sample_rate // SECOND for at in (start, end))
    margin = rendering.sample_rate // 5
    assert not stereo[first + margin : last - margin].any()
    assert abs(len(stereo) / rendering.sample_rate - (found.call.duration_s or 0)) < 0.02


@pytest.mark.parametrize("name", ["opus", "g722", "over_ipv6", "nat", "payload_type_changes", "sequence_wraps"])
def test_every_kind_of_call_is_heard_on_both_sides(recorded: Record, name: str) -> None:
    found = recorded(ALL[name]())

    rendering, stereo, notes = heard(found)

    assert notes == []
    for side in (0, 1):
        loud = np.abs(stereo[:, side].astype(float)) > 500
        assert loud.mean() > 0.2
    assert abs(len(stereo) / rendering.sample_rate - (found.call.duration_s or 0)) < 1.0


def live(found: Recorded, cut: int = 0) -> tuple[str, Path]:
    """Make a recording look as while it is written: hidden, without its end. Returns its folder's new name."""
    folder = found.data / found.call.folder
    hidden = folder.with_name(f".{folder.name}")
    folder.rename(hidden)
    part = hidden / "part-0.floe"
    if cut:
        part.write_bytes(part.read_bytes()[:-cut])
    return found.call.folder, part


def test_a_recording_that_is_still_written_is_heard_so_far(recorded: Record) -> None:
    found = recorded(basic.basic_call(8.0))
    folder, _ = live(found)

    with open_recording(found.data, folder, found.call.id) as recording:
        playback = Playback(recording)

        assert recording.is_live
        assert recording.problems == []
        assert sorted(len(track) for track in playback.voices(found.call).tracks) == [400, 400]


def test_a_half_written_group_at_the_end_of_a_live_recording_is_no_trouble(recorded: Record) -> None:
    found = recorded(basic.basic_call())
    folder, _ = live(found, cut=100)

    with open_recording(found.data, folder, found.call.id) as recording:
        Playback(recording)
        assert recording.problems == []


def test_a_damaged_recording_is_heard_up_to_the_damage_and_says_so(recorded: Record) -> None:
    found = recorded(basic.basic_call())
    part = found.data / found.call.folder / "part-0.floe"
    data = bytearray(part.read_bytes())
    data[-5000] ^= 1
    part.write_bytes(data)

    with opened(found) as recording:
        Playback(recording)
        assert len(recording.problems) == 1
        assert "`vittne verify` says more" in recording.problems[0]


def test_a_missing_archive_key_is_told(recorded: Record) -> None:
    found = recorded(basic.basic_call(0.5))
    (found.data / "keys" / "keyring.json").unlink()

    with pytest.raises(KeysMissing):
        opened(found)


def test_an_archive_key_that_others_can_read_is_refused(recorded: Record) -> None:
    found = recorded(basic.basic_call(0.5))
    (found.data / "keys" / "keyring.json").chmod(0o644)

    with pytest.raises(KeysExposed):
        opened(found)


def test_a_locked_archive_key_asks_for_its_passphrase(
    recorded: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = recorded(basic.basic_call(0.5))
    vault = unlock(found.data)
    replace_ring(found.data, vault.enveloped(envelope.sealed(vault.root, b"open sesame")))
    monkeypatch.delenv("VITTNE_ARCHIVE_PASSPHRASE_FILE", raising=False)
    with pytest.raises(KeysLocked, match="VITTNE_ARCHIVE_PASSPHRASE_FILE"):
        opened(found)

    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    monkeypatch.setenv("VITTNE_ARCHIVE_PASSPHRASE_FILE", str(secret))
    with opened(found) as recording:
        assert Playback(recording).streams


def test_a_recording_whose_folder_is_gone_is_told(recorded: Record) -> None:
    found = recorded(basic.basic_call(0.5))
    folder = found.data / found.call.folder
    folder.rename(found.data / "elsewhere")

    with pytest.raises(NotPlayable, match="not on the disk"):
        opened(found)


def test_a_call_without_a_recording_is_told(recorded: Record) -> None:
    found = recorded(basic.no_media())

    with pytest.raises(NotPlayable, match="nothing was recorded"):
        opened(found)


def stored(kind: int, at_ns: int, body: bytes, stream: int = 1) -> bytes:
    return records.encode(kind, at_ns, body, stream)


@given(st.lists(st.tuples(st.binary(max_size=60), st.integers(0, 2)), max_size=20))
def test_headers_read_as_columns_are_those_read_one_by_one(packets: list[tuple[bytes, int]]) -> None:
    plain = b"".join(stored(records.RTP, n, body, stream) for n, (body, stream) in enumerate(packets))

    found = {}
    broken = 0
    for stream, rows, unreadable in read_rtp(0, plain, records.columns(plain)):
        broken += unreadable
        for row in range(len(rows)):
            start = int(rows.offset[row])
            found[int(rows.at_ns[row])] = (
                stream,
                int(rows.seq[row]),
                int(rows.timestamp[row]),
                int(rows.payload_type[row]),
                plain[start : start + int(rows.length[row])],
            )

    slow = {n: (stream, *read) for n, (body, stream) in enumerate(packets) if (read := one_by_one(body)) is not None}
    assert found == slow
    assert broken == len(packets) - len(slow)


def one_by_one(packet: bytes) -> tuple[int, int, int, bytes] | None:
    """RFC 3550 5.1 as it is written."""
    if len(packet) < 12:
        return None
    header = 12 + 4 * (packet[0] & 15)
    if packet[0] & 0x10:
        if len(packet) < header + 4:
            return None
        header += 4 + 4 * int.from_bytes(packet[header + 2 : header + 4], "big")
    if header > len(packet):
        return None
    payload = packet[header:]
    if packet[0] & 0x20 and packet[-1] <= len(payload):
        payload = payload[: len(payload) - packet[-1]]
    return int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[4:8], "big"), packet[1] & 127, payload


class Written:
    """Records as if they came out of a sealed part: what Playback reads, without the sealing."""

    def __init__(self, *plain: bytes) -> None:
        self.plain = plain
        self.problems: list[str] = []

    def read(self, advance: object = None):  # type: ignore[no-untyped-def]
        for number, plain in enumerate(self.plain):
            yield number, plain, records.columns(plain)

    def plaintext(self, number: int) -> bytes:
        return self.plain[number]


def words(n: int) -> bytes:
    return random.Random(n).randbytes(160)


def described(number: int, **said: object) -> bytes:
    base = {"party": "caller", "seat": 0, "ssrc": "0000000A", "kind": "audio", "formats": {}}
    return stored(records.STREAM, 0, json.dumps({**base, **said}).encode(), number)


def spoken(number: int, first: int, last: int, payload_type: int = 0, ssrc: int = 10, delay_ns: int = 0) -> bytes:
    """Packets of 20 ms with payloads that depend on their number alone."""
    packets = []
    for n in range(first, last):
        head = (
            bytes([0x80, payload_type]) + n.to_bytes(2, "big") + (160 * n).to_bytes(4, "big") + ssrc.to_bytes(4, "big")
        )
        packets.append(stored(records.RTP, n * 20_000_000 + delay_ns, head + words(n), number))
    return b"".join(packets)


def voices_of(plain: Recorded, *groups: bytes):  # type: ignore[no-untyped-def]
    return Playback(Written(*groups)).voices(plain.call)  # type: ignore[arg-type]


def test_a_copy_is_heard_only_where_the_voice_itself_is_missing(plain: Recorded) -> None:
    own = described(1) + spoken(1, 0, 100) + spoken(1, 400, 500)
    copy = described(2, copy=True) + spoken(2, 0, 600)

    voices = voices_of(plain, own, copy)

    (first, *pieces) = voices.tracks
    assert len(first) == 200
    times = [(int(piece.at_ns[0]) // 20_000_000, int(piece.at_ns[-1]) // 20_000_000) for piece in pieces]
    assert times == [(150, 349), (550, 599)]
    assert bytes(pieces[0].payloads[0]) == words(150)


def test_streams_that_say_the_same_are_one_voice_even_when_nobody_marked_them(plain: Recorded) -> None:
    own = described(1) + spoken(1, 0, 100)
    relayed = described(2) + spoken(2, 0, 200, ssrc=77, delay_ns=3_000_000)
    somebody_else = described(3) + spoken(3, 1000, 1100)

    voices = voices_of(plain, own + relayed + somebody_else)

    assert [len(track) for track in voices.tracks] == [100, 100, 51]


def test_packets_from_a_foreign_source_are_not_mixed_in(plain: Recorded) -> None:
    foreign = described(2, foreign=True) + spoken(2, 10, 300)

    voices = voices_of(plain, described(1) + spoken(1, 0, 100) + foreign)

    assert [track.name for track in voices.tracks] == ["stream 1 (caller, SSRC 0000000A)"]
    assert [(note.reason, note.packets) for note in voices.notes] == [("from a foreign source, not heard", 290)]


def test_foreign_packets_are_heard_when_there_is_nothing_else_of_a_party(plain: Recorded) -> None:
    voices = voices_of(plain, described(1, foreign=True) + spoken(1, 0, 50))

    assert [len(track) for track in voices.tracks] == [50]


def test_a_payload_type_that_gets_another_meaning_has_it_from_then_on(plain: Recorded) -> None:
    first = described(1, formats={"96": ["PCMU", 8000, 1, ""]}) + spoken(1, 0, 50, 96)
    then = described(1, formats={"96": ["PCMA", 8000, 1, ""]}) + spoken(1, 50, 90, 96)

    (track,) = voices_of(plain, first, then).tracks

    formats, column = track.format_column()
    assert [formats[n].encoding for n in column.tolist()] == ["PCMU"] * 50 + ["PCMA"] * 40


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1 F8_128_HMAC_SHA1_80 inline:" + "A" * 40, "suite F8_128_HMAC_SHA1_80"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", "cannot be read"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + " UNENCRYPTED_SRTP", "UNENCRYPTED_SRTP"),
    ],
)
def test_srtp_that_cannot_be_decrypted_is_noted_and_silent(plain: Recorded, line: str, words: str) -> None:
    voices = voices_of(plain, described(1, crypto=line) + spoken(1, 0, 10))

    assert voices.tracks == []
    (note,) = voices.notes
    assert words in note.reason
    assert note.packets == 10


def test_packets_that_the_key_does_not_open_are_counted(plain: Recorded) -> None:
    key = "1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40

    voices = voices_of(plain, described(1, crypto=key) + spoken(1, 0, 10))

    assert [note.packets for note in voices.notes] == [10]


@pytest.mark.parametrize(("suite", "tag", "salted"), [("AES_CM_128_HMAC_SHA1_80", 10, 30), ("AEAD_AES_128_GCM", 0, 28)])
def test_a_master_key_identifier_is_taken_off(plain: Recorded, suite: str, tag: int, salted: int) -> None:
    key = bytes(range(salted))
    profile = Policy.SRTP_PROFILE_AES128_CM_SHA1_80 if tag else Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    session = Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile))
    clear = spoken(1, 0, 10)
    packets = [clear[at + 16 : at + 16 + 172] for at in range(0, len(clear), 192)]
    sealed = []
    for n, packet in enumerate(packets):
        protected = session.protect(packet)
        end = len(protected) - tag
        sealed.append(stored(records.RTP, n * 20_000_000, protected[:end] + b"\x00\x07" + protected[end:], 1))
    line = f"1 {suite} inline:{b64encode(key).decode()}|2^20|7:2"

    (track,) = voices_of(plain, described(1, crypto=line) + b"".join(sealed)).tracks

    assert [bytes(payload) for payload in track.payloads] == [packet[12:] for packet in packets]
