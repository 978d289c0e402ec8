"""`vittne export`: a call as sound (WAV, FLAC, Ogg Opus, MP3, Matroska) or as packets (pcap)."""

from __future__ import annotations

import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import av

from vittne.appliance.looks import Look, Purpose, enter_look
from vittne.appliance.opened import OpenedRecording, open_recording
from vittne.appliance.outfile import STDOUT, progress, whole_file
from vittne.appliance.packets import refuse_imported, write_packets
from vittne.appliance.playback import Playback, Voices
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.rows import CallRow
from vittne.appliance.terminal import clean, duration
from vittne.codecs import container, matroska
from vittne.codecs.base import I16, NotDecodable
from vittne.codecs.timeline import Rendering, lay_out
from vittne.codecs.tracks import Note

_MOST_IN_WAV: Final = (1 << 32) - 4096  # RIFF counts bytes in 32 bits
_NOTES_SHOWN: Final = 12


class CannotExport(StoreError):
    """A call, or a format, that cannot be written."""


def export(
    data_dir: Path,
    call: CallRow,
    kind: str,
    output: str,
    party: str,
    from_answer: bool,
    force: bool,
    purpose: Purpose = "",
    review: str = "",
) -> int:
    """Write a call; return the exit status. Raises StoreError; no half file is ever left."""
    if kind == "pcap" and party != "both":
        raise CannotExport("packets are exported of both parties", output, "leave out --party")
    if kind == "pcap":
        refuse_imported(call, output)
    look = Look(kind="export", recording=call.id, format=kind, party=party, purpose=purpose, review=review)
    enter_look(data_dir, look)
    with open_recording(data_dir, call.folder, call.id) as opened, whole_file(output, force) as (stream, _):
        try:
            said, notes = _write(opened, call, kind, stream, party, from_answer)
        except NotDecodable as error:
            kinds = ", ".join([*container.available_kinds(), "mka", "pcap"])
            raise CannotExport(error.reason, output, f"choose one of {kinds}") from error
        except av.FFmpegError as error:
            raise CannotExport(f"FFmpeg cannot write {kind} ({error.strerror})", output, "is there room?") from error
        except BrokenPipeError:
            raise
        except OSError as error:
            raise explain(error, "write the export", output) from error
    if output != STDOUT:
        print(f"{output}: {said}", file=sys.stderr)
    if opened.is_live:
        notes.append(Note(f"call {call.id[:8]}", "it goes on: this is what there was of it so far", 0))
    tell(notes, opened.problems)
    return 0


def tell(notes: list[Note], problems: list[str]) -> None:
    """Say on standard error what is not in the export, and why."""
    lines = [f"warning: {problem}" for problem in problems]
    for note in notes:
        count = f" ({note.packets} packets)" if note.packets else ""
        lines.append(f"note: {note.track}: {note.reason}{count}")
    for line in lines[:_NOTES_SHOWN]:
        print(clean(line), file=sys.stderr)
    if len(lines) > _NOTES_SHOWN:
        print(f"... and {len(lines) - _NOTES_SHOWN} more", file=sys.stderr)


def _write(
    opened: OpenedRecording, call: CallRow, kind: str, stream: BinaryIO, party: str, from_answer: bool
) -> tuple[str, list[Note]]:
    """Write to a stream; return words about what was written, and notes."""
    if kind == "pcap":
        with progress("writing packets", 100) as bar:
            count = write_packets(opened, stream, lambda done, total: bar(100 * done // max(total, 1)))
        return f"{count} packets", []
    if kind == "mka":
        voices = heard(opened, call, party, from_answer)
        notes = matroska.write_matroska(stream, voices.tracks, voices.gaps, voices.from_ns, voices.to_ns)
        return f"{len(voices.tracks)} tracks", voices.notes + notes
    rendering, notes = write_sound(opened, call, kind, stream, party, from_answer)
    return _words(rendering, call, party), notes


def heard(opened: OpenedRecording, call: CallRow, party: str, from_answer: bool) -> Voices:
    """Read a recording through; return what is heard of it. Raises StoreError."""
    with progress("reading", 100) as bar:
        playback = Playback(opened, lambda done, total: bar(100 * done // max(total, 1)))
    voices = playback.voices(call, party, from_answer)
    if not voices.tracks:
        voices.notes.append(Note(f"call {call.id[:8]}", "nothing of it can be heard: the file is silent", 0))
    return voices


def write_sound(
    opened: OpenedRecording, call: CallRow, kind: str, stream: BinaryIO, party: str, from_answer: bool
) -> tuple[Rendering, list[Note]]:
    """Write a recording as a sound file; return its time line, and notes. Raises StoreError, NotDecodable."""
    voices = heard(opened, call, party, from_answer)
    rendering = render(voices)
    with progress("writing sound", rendering.samples) as bar:
        _write_sound(stream, kind, rendering, _watched(rendering, bar), container.Parties(party))
    return rendering, voices.notes + rendering.notes


def render(voices: Voices) -> Rendering:
    """Lay the voices on the call's time line."""
    return lay_out(voices.tracks, voices.gaps, voices.from_ns, voices.to_ns)


def _write_sound(
    stream: BinaryIO, kind: str, rendering: Rendering, chunks: Iterator[I16], parties: container.Parties
) -> None:
    channels = 2 if parties is container.Parties.BOTH else 1
    if kind == "wav" and not stream.seekable() and rendering.samples * 2 * channels < _MOST_IN_WAV:
        _write_wav(stream, rendering, chunks, parties, channels)
    else:
        container.write(stream, kind, chunks, rendering.sample_rate, parties)


def _write_wav(
    stream: BinaryIO, rendering: Rendering, chunks: Iterator[I16], parties: container.Parties, channels: int
) -> None:
    """Write WAV into a pipe: its length is known before, which FFmpeg would go back to fill in."""
    with wave.open(stream, "wb") as out:
        out.setparams((channels, 2, rendering.sample_rate, rendering.samples, "NONE", ""))
        for chunk in chunks:
            out.writeframesraw(container.chosen(chunk, parties).astype("<i2").tobytes())


def _watched(rendering: Rendering, bar: object) -> Iterator[I16]:
    done = 0
    for chunk in rendering.chunks():
        yield chunk
        done += len(chunk)
        if callable(bar):
            bar(done)


def _words(rendering: Rendering, call: CallRow, party: str) -> str:
    length = duration((rendering.to_ns - rendering.from_ns) / 1e9)
    sides = "stereo, caller left, callee right" if party == "both" else f"mono, the {party}"
    early = 0 if call.answered_us is None else call.answered_us * 1000 - rendering.from_ns
    before = f", of which {duration(early / 1e9)} before the answer" if early >= 50_000_000 else ""
    return f"{length} at {rendering.sample_rate} Hz, {sides}{before}"
