"""The command line as programs and people use it: exit status, one line an error, JSON to the letter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from builders import Scenario
from recordings import Recorded
from scenarios import basic, noise

from vittne.appliance.registrar import Registrar

Vittne = Callable[..., tuple[int, str, str]]
Record = Callable[[Scenario], Recorded]

ELEMENT = {
    *("id", "call_ids", "caller", "callee", "parties", "started_at", "answered_at", "ended_at"),
    *("duration_s", "end_reason", "outcome", "outcome_reasons", "streams"),
}
STREAM = {
    *("party", "codec", "payload_type", "clock_rate", "ssrc", "source", "destination", "packets", "stored"),
    *("dropped", "lost", "reordered", "duplicates", "late", "jitter_ms", "ptime_ms", "first_at", "last_at", "mos"),
}


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory in which nothing was recorded."""
    data = tmp_path_factory.mktemp("empty") / "data"
    Registrar(data).close()
    return data


def test_a_list_of_nothing_is_an_empty_array(empty: Path, vittne: Vittne) -> None:
    assert vittne("list", "--data", empty, "--json") == (0, "[]\n", "")
    assert vittne("list", "--data", empty) == (0, "no calls\n", "")
    assert vittne("streams", "--data", empty, "--json") == (0, "[]\n", "")


def test_a_list_is_one_array_of_what_the_catalogue_says(plain: Recorded, vittne: Vittne) -> None:
    status, text, _ = vittne("list", "--data", plain.data, "--json")

    (element,) = json.loads(text)
    assert status == 0
    assert element == json.loads(json.dumps(plain.call.as_json()))
    assert set(element) >= ELEMENT
    assert all(set(stream) >= STREAM for stream in element["streams"])
    assert element["duration_s"] == pytest.approx(3.05)
    assert datetime.fromisoformat(element["started_at"]).utcoffset() is not None


def test_calls_that_were_never_answered_are_listed_with_all(recorded: Record, vittne: Vittne) -> None:
    found = recorded(basic.cancelled())

    assert json.loads(vittne("list", "--data", found.data, "--json")[1]) == []
    (element,) = json.loads(vittne("list", "--data", found.data, "--json", "--all")[1])
    assert element["answered_at"] is None


def test_filters_narrow_the_list(plain: Recorded, vittne: Vittne) -> None:
    def count(*filters: str) -> int:
        return len(json.loads(vittne("list", "--data", plain.data, "--json", *filters)[1]))

    assert count("--number", "1001") == count("--codec", "pcmu") == count("--outcome", "recorded") == 1
    assert count("--since", "2026-01-01") == count("--until", "2026-01-02") == count("--limit", "5") == 1
    assert count("--call-id", plain.call.call_ids[0]) == 1
    assert count("--number", "4711") == count("--codec", "opus") == count("--since", "2026-01-02T10:00+02:00") == 0


def test_the_table_tells_what_an_engineer_looks_for(plain: Recorded, vittne: Vittne) -> None:
    _, text, _ = vittne("list", "--data", plain.data)

    for word in (plain.call.id[:8], "2026-01-01 00:00:00", "1001@example.net", "0:03.1", "recorded", "PCMU", "4.4"):
        assert word in text


def test_a_call_is_shown_by_the_first_letters_of_its_id(plain: Recorded, vittne: Vittne) -> None:
    status, text, _ = vittne("show", plain.call.id[:6], "--data", plain.data, "--json")

    assert status == 0
    assert json.loads(text) == json.loads(json.dumps(plain.call.as_json()))
    people = vittne("show", plain.call.id[:6], "--data", plain.data)[1]
    assert "10.0.0.1:40000" in people
    assert "Alice" in people


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--data", "/nowhere/at/all"], "there is no such data directory: /nowhere/at/all"),
        (["show", "ffffffff"], "no call has this id"),
        (["export", "ffffffff", "-o", "x.wav"], "no call has this id"),
        (["verify"], "give an ID, or --all"),
        (["verify", "ffffffff"], "no call has this id"),
        (["record", "--hold-back", "99"], "hold_back_s: input should be less than or equal to 30"),
        (["record", "--interface", "lo", "--pcap", "x"], "two sources"),
        (["list", "--config", "/nowhere.toml"], "cannot read the configuration"),
    ],
)
def test_an_error_is_one_line_and_status_1(empty: Path, vittne: Vittne, arguments: list[str], words: str) -> None:
    where = [] if {"--data", "--config"} & set(arguments) else ["--data", str(empty)]

    status, text, error = vittne(*arguments, *where)

    assert (status, text) == (1, "")
    assert error.startswith("vittne: ")
    assert words in error
    assert error.count("\n") == 1


def test_wrong_usage_is_status_2(vittne: Vittne) -> None:
    for arguments in (["fly"], ["list", "--since", "yesterday"], ["export", "1"], ["list", "--limit", "0"]):
        with pytest.raises(SystemExit) as ended:
            vittne(*arguments)
        assert ended.value.code == 2


def test_a_fault_of_our_own_is_one_line_too(empty: Path, vittne: Vittne, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("json.dumps", lambda *_, **__: 1 / 0)

    status, _, error = vittne("verify", "--all", "--data", empty, "--json")

    assert status == 1
    assert error.startswith("vittne: a fault of the program: ZeroDivisionError")
    assert "Traceback" not in error


def test_the_data_directory_may_come_from_environment_or_file(
    plain: Recorded, vittne: Vittne, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "vittne.toml"
    file.write_text(f'data = "{plain.data}"\n')
    assert plain.call.id in vittne("list", "--json", "--config", file)[1]

    monkeypatch.setenv("VITTNE_DATA", str(plain.data))
    assert plain.call.id in vittne("list", "--json")[1]


def test_verification_says_what_was_checked(plain: Recorded, vittne: Vittne) -> None:
    status, text, _ = vittne("verify", plain.call.id[:8], "--data", plain.data)

    assert status == 0
    for name in ("manifest", "ledger", "files", "content", "catalogue"):
        assert f"holds       {name}: " in text
    status, text, _ = vittne("verify", "--all", "--data", plain.data)
    assert status == 0
    assert "1 recordings checked, 1 with nothing wrong, 0 with something wrong" in text


def test_verification_fails_for_a_changed_bit(recorded: Record, vittne: Vittne) -> None:
    found = recorded(basic.basic_call(0.5))
    part = found.data / found.call.folder / "part-0.floe"
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)

    for which in (found.call.id, "--all"):
        status, text, _ = vittne("verify", which, "--data", found.data)
        assert status == 1
        assert "FAILS       files: " in text


def test_what_could_not_be_checked_is_said_and_is_not_success(recorded: Record, vittne: Vittne) -> None:
    found = recorded(basic.basic_call(0.5))
    (found.data / "keys" / "keyring.json").rename(found.data / "elsewhere.key")

    status, text, _ = vittne("verify", found.call.id, "--data", found.data)

    assert status == 3
    assert "not checked content: there is no key here: not opened" in text
    told = json.loads(vittne("verify", "--all", "--data", found.data, "--json")[1])
    assert [verdict["ok"] for verdict in told] == [True, True]


def test_a_recording_is_verified_by_its_whole_id_without_a_catalogue(recorded: Record, vittne: Vittne) -> None:
    found = recorded(basic.basic_call(0.5))
    call = found.call
    for file in found.data.glob("catalogue.db*"):
        file.unlink()

    status, text, _ = vittne("verify", call.id, "--data", found.data)

    assert status == 3
    assert "holds       content" in text
    assert "give the whole id" in vittne("verify", call.id[:6], "--data", found.data)[2]


def test_rtp_without_signalling_is_listed(recorded: Record, vittne: Vittne) -> None:
    found = recorded(noise.unsignalled_rtp())

    streams = json.loads(vittne("streams", "--data", found.data, "--json")[1])

    assert {stream["ssrc"] for stream in streams} == {f"{stray.ssrc:08X}" for stray in found.scenario.truth.strays}
    assert all(stream["party"] == "" for stream in streams)
    assert streams[0]["source"] in vittne("streams", "--data", found.data)[1]


def test_playing_without_pyaudio_says_what_to_install(
    plain: Recorded, vittne: Vittne, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)

    status, _, error = vittne("play", plain.call.id, "--data", plain.data)

    assert status == 1
    assert "vittne[audio]" in error


def test_the_version_is_printed(vittne: Vittne) -> None:
    status, text, _ = vittne("version")

    assert status == 0
    assert text.startswith("vittne 0.")


def test_a_list_loads_nothing_heavy(plain: Recorded) -> None:
    heavy = ("numpy", "av", "cryptography", "alembic", "pydantic", "rich", "joserfc", "asyncio.events")
    program = (
        "import sys; from vittne.appliance.__main__ import run; run(['list', '--json']); run(['list']);"
        f"print([name for name in {heavy[:-1]!r} if name in sys.modules], file=sys.stderr)"
    )
    environment = {**os.environ, "VITTNE_DATA": str(plain.data)}

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)

    assert ran.stderr == "[]\n"


def test_whoever_stops_reading_gets_no_complaint(plain: Recorded) -> None:
    environment = {**os.environ, "VITTNE_DATA": str(plain.data)}
    command = f"{sys.executable} -m vittne.appliance export {plain.call.id} --format wav -o - | head -c 100 >/dev/null"

    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env=environment)

    assert "Traceback" not in ran.stderr
    assert "fault" not in ran.stderr
