"""vCons that are made to hurt, and a power cut at any step: one sentence says what is wrong, the archive is whole."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import socket
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from foreign import UUID, Authority, Json, archive, encoded, recording, rows, vcon, voice, wav, written
from hypothesis import given
from hypothesis import strategies as st

from vittne.appliance.__main__ import run
from vittne.appliance.control.caller import Caller
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.policy.decide import NO_RULES
from vittne.appliance.recover import recover
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.errors import StoreError
from vittne.appliance.vcon.apart import open_sound
from vittne.appliance.vcon.digits import Gone, cleaned, masked
from vittne.appliance.vcon.filing import FILE_IMPORT
from vittne.appliance.vcon.importing import Importer, ImportOptions
from vittne.appliance.vcon.reading import BadVcon, read_bytes
from vittne.appliance.vcon.sound import BadSound
from vittne.appliance.vcon.taking import take

SOUND = wav(voice(0.5, 300), voice(0.5, 500))
REC = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("archive") / "data")


@pytest.fixture
def data(empty: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(empty, tmp_path / "archive"))


def deep(levels: int) -> Json:
    value: Json = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def other_hash(dialog: Json) -> Json:
    return {**dialog, "body": encoded(wav(voice(0.5, 700)))}


def with_picture() -> bytes:
    """Sound of 20 seconds that says it is an image."""
    return b"\x89PNG\r\n\x1a\n" + SOUND


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (vcon(recording(SOUND), x=deep(200)), "more levels"),
        (vcon(recording(SOUND), uuid="4111111111111111"), "it has no uuid"),
        (vcon(recording(SOUND, start="yesterday")), "dialog 0: it does not say when it began"),
        (vcon(recording(SOUND, start="9999-12-31T00:00:00Z")), "dialog 0: it does not say when it began"),
        (vcon(recording(SOUND, encoding="none")), "is not in base64url"),
        (vcon(recording(SOUND, body="%%%%", content_hash=[])), "its body is not base64url"),
        (vcon(other_hash(recording(SOUND))), "dialog 0: its content is not what its hash says"),
        (vcon(recording(with_picture())), "of no kind of sound that is taken"),
        (vcon(recording(SOUND[:40])), "its sound is not taken"),
        (vcon(recording(b"RIFF\xff\xff\xff\x7fWAVE" + bytes(64))), "its sound is not taken"),
        (vcon(recording(b"#EXTM3U\nhttp://10.0.0.1/x.wav\n")), "of no kind of sound that is taken"),
        (vcon(recording(SOUND), recording(SOUND, start="2031-03-04T10:00:00Z")), "more than a week apart"),
        (vcon(*[{"type": "text", "start": "2026-03-04T10:00:00Z"}] * 1001), "more than 1000 dialogs"),
        (vcon(), "nothing in it says when it was"),
    ],
)
def test_what_is_no_honest_vcon_is_refused_in_one_sentence(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], value: Json, words: str
) -> None:
    if words == "nothing in it says when it was":
        value = {**value, "created_at": "long ago"}

    assert run(["vcon", "import", str(written(tmp_path, value)), "--data", str(data)]) == 1

    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert rows(data) == []
    assert list((data / "recordings").rglob("*.floe")) == []


def test_an_import_leaves_a_recorder_its_room(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = SimpleNamespace(f_bavail=100, f_frsize=4096, f_blocks=10_000)
    monkeypatch.setattr(os, "fstatvfs", lambda _: full)

    assert run(["vcon", "import", str(written(tmp_path, vcon(recording(SOUND)))), "--data", str(data)]) == 1

    assert "no space left but what recording needs" in capsys.readouterr().err
    assert list((data / "recordings").rglob("*.import")) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value["signatures"][0].update(signature="AAAA"),
        lambda value: value.update(payload=encoded(json.dumps(vcon(recording(SOUND), subject="x")).encode())),
        lambda value: value["signatures"][0]["header"].update(uuid=UUID.replace("019f", "0190")),
    ],
)
def test_a_forged_one_is_refused(data: Path, tmp_path: Path, change: Callable[[Json], object]) -> None:
    value = Authority().signed(vcon(recording(SOUND)))
    change(value)

    assert run(["vcon", "import", str(written(tmp_path, value)), "--data", str(data)]) == 1
    assert rows(data) == []


def test_a_bomb_in_a_gzip_or_zip_is_cut_off(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vittne.appliance.vcon.importing.MOST_BYTES", 1 << 20)
    bomb = gzip.compress(b'{"parties": "' + bytes(8 << 20) + b'"}')
    (tmp_path / "bomb.vcon").write_bytes(bomb)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("bomb.vcon", bytes(8 << 20))

    assert run(["vcon", "import", str(tmp_path / "bomb.vcon"), "--data", str(data)]) == 1
    assert run(["vcon", "import", str(tmp_path / "bomb.zip"), "--data", str(data)]) == 1
    assert capsys.readouterr().err.count("larger than") == 2


def test_a_link_in_a_folder_is_not_followed(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    (folder / "one.vcon").symlink_to(written(tmp_path, vcon(recording(SOUND))))

    assert run(["vcon", "import", str(folder), "--data", str(data)]) == 1
    assert rows(data) == []


def test_sound_that_is_longer_than_it_may_be_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vittne.appliance.vcon.sound.MOST_DECODED", 4000)

    with pytest.raises(BadSound, match="longer than"), open_sound(SOUND) as (_, pieces):
        list(pieces)


def test_what_is_beside_the_sound_is_left_out_when_it_holds_a_card(data: Path, tmp_path: Path) -> None:
    """A comment in a file of sound may say a number too."""
    target = tmp_path / "tagged.flac"
    with av.open(str(target), "w") as container:
        container.metadata["comment"] = "card 4111 1111 1111 1111"
        stream = container.add_stream("flac", rate=8000)
        stream.codec_context.layout = "mono"
        frame = av.AudioFrame.from_ndarray(voice(1.0, 300)[None, :], format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    sound = target.read_bytes()
    assert b"4111 1111" in sound

    taken = take(read_bytes(json.dumps(vcon(recording(sound))).encode()), b"", REC)

    (media,) = taken.media
    assert (media.kept, b"4111 1111" in media.data) == ("made anew", False)
    with open_sound(media.data) as (_, pieces):
        assert np.array_equal(np.concatenate(list(pieces))[:, 0], voice(1.0, 300))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(UUID),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("uuid", "parties", "dialog", "type", "start", "duration", "body", "encoding", "url", "purpose"),
                    *("attachments", "analysis", "tel", "name", "party_history", "event", "time", "party", "group"),
                    *("originator", "mediatype", "content_hash", "filename", "tags", "created_at"),
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=24,
)


@given(dialog=values, more=values)
def test_anything_is_taken_or_refused_never_more(dialog: Any, more: Any) -> None:
    value = {**vcon(), "dialog": [dialog, recording(b"x")] if isinstance(more, list) else [dialog], "parties": more}
    text = json.dumps({**value, **(more if isinstance(more, dict) else {}), "uuid": UUID}).encode()

    with suppress(BadVcon, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        taken = take(read_bytes(text), text, REC)
        assert taken.row.started_us <= (taken.row.ended_us or 0)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("4111-1111-1111-1111", "****-****-****-****"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "* * * * * * * * * * * * * * * *"),
        ("3782 822463 10005 exp 12/29 cvv: 1234", "**** ****** ***** exp 12/29 cvv: ****"),
        ("order 4111111111111112", "order 4111111111111112"),
        ("+49 30 901820, at 17:53:26", "+49 30 901820, at 17:53:26"),
    ],
)
def test_a_cards_number_is_known_by_its_sum(text: str, clean: str) -> None:
    assert masked(text, Gone()) == clean


def test_a_number_after_the_answer_is_no_part_of_an_address() -> None:
    gone = Gone()

    assert cleaned({"tel": "+4712345678;postd=pp4929"}, gone) == {"tel": "+4712345678"}
    assert gone.keys == 1


def importer(data: Path) -> Importer:
    return Importer(data, ImportOptions((), by="Ann"), LifePolicy(), NO_RULES)


def steps(data: Path) -> Iterator[str]:
    """Import one, a step at a time."""
    text = json.dumps(vcon(recording(SOUND))).encode()
    desk = importer(data)
    registrar = Registrar(data)
    try:
        with desk.sealed(desk.taken(text)) as order:
            yield "part written"
            for progress in FILE_IMPORT.do(registrar, order, Caller("Ann")):
                yield progress.words
        yield "done"
    finally:
        registrar.close()


@pytest.mark.parametrize("word", ["part written", "hashing", "entered", "sealed", "named", "done"])
def test_a_power_cut_at_any_step_leaves_it_whole_or_nothing_of_it(data: Path, tmp_path: Path, word: str) -> None:
    cut = tmp_path / "cut"
    for step in steps(data):
        if step == word:
            shutil.copytree(data, cut)
    assert cut.exists()

    registrar = Registrar(cut)
    recover(registrar)
    registrar.close()

    assert run(["verify", "--all", "--data", str(cut)]) == 0
    assert len(rows(cut)) == (1 if word in ("sealed", "named", "done") else 0)
    assert not list((cut / "recordings").rglob("*.import"))
    again = run(["vcon", "import", str(written(tmp_path, vcon(recording(SOUND)))), "--data", str(cut)])
    assert (again, len(rows(cut))) == (0, 1)


def test_a_part_that_is_not_what_was_told_becomes_no_recording(data: Path) -> None:
    desk = importer(data)
    registrar = Registrar(data)
    with desk.sealed(desk.taken(json.dumps(vcon(recording(SOUND))).encode())) as order:
        (part,) = (data / "recordings").rglob("part-0.floe")
        part.write_bytes(part.read_bytes()[:-1] + b"x")
        with pytest.raises(StoreError, match="is not what was told"):
            list(FILE_IMPORT.do(registrar, order, Caller("Ann")))
        elsewhere = order.model_copy(update={"report": order.report.replace("recordings/2026", "recordings/../..")})
        with pytest.raises(StoreError, match="no folder of that recording"):
            list(FILE_IMPORT.do(registrar, elsewhere, Caller("Ann")))
    registrar.close()

    assert rows(data) == []


def test_a_decoder_that_dies_costs_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for a fault of FFmpeg's own: the process apart is killed by it."""
    monkeypatch.setattr("vittne.appliance.vcon.sound._kind", lambda _: os.kill(os.getpid(), signal.SIGSEGV))
    monkeypatch.setattr("vittne.appliance.vcon.apart._rehearse", lambda: None)

    with pytest.raises(BadSound, match="broke off"), open_sound(SOUND):
        pass


def test_who_decodes_can_open_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    attempts: dict[str, Callable[[], object]] = {
        "write": (tmp_path / "x").touch,
        "read": Path("/etc/passwd").read_bytes,
        "socket": socket.socket,
        "child": os.fork,
    }

    def tries(_: bytes) -> str:
        told = []
        for name, attempt in attempts.items():
            with suppress(OSError):
                attempt()
                told.append(name)
        raise BadSound(f"could: {told}")

    monkeypatch.setattr("vittne.appliance.vcon.sound._kind", tries)
    monkeypatch.setattr("vittne.appliance.vcon.apart._rehearse", lambda: None)

    with pytest.raises(BadSound, match=r"could: \[\]"), open_sound(SOUND):
        pass
    assert not (tmp_path / "x").exists()
