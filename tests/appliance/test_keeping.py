"""What rules on recording and keeping come to in a data directory, and at the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import START_NS, Scenario
from building.playing import NEVER, blocks_of
from recordings import Recorded
from rig.stored import stored_plain
from scenarios import basic

from vittne.appliance.capturesettings import capture_settings
from vittne.appliance.config import Config, ConfigErrors, load
from vittne.appliance.policy.decide import policy_rules
from vittne.appliance.recorder import Recorder
from vittne.appliance.recover import recover
from vittne.appliance.registrar import Registrar
from vittne.appliance.replay import FileRun
from vittne.appliance.samplingkey import sampling_key
from vittne.appliance.seal.manifest import read_manifest
from vittne.appliance.store.files import Store
from vittne.capture.columns import SECOND
from vittne.capture.gates import Decided
from vittne.capture.pipeline import Pipeline

Vittne = Callable[..., tuple[int, str, str]]

KEPT = """
[site]
name = "hamburg"
own_numbers = ["1001..1009"]

[[record]]
name = "sales"
callers = ["1001"]
tags = ["sales"]

[[retention]]
name = "trading"
tags = ["sales"]
directions = ["internal"]
class = "mifid-5y"

[[basis]]
name = "law"
lawful_basis = "legal-obligation"
purpose = "records of trades"
proof = "document"
reference = "policy 7"
"""
OUT = '[[record]]\nname = "works council"\nthen = "exclude"\ncallees = ["1002"]\n'
ASK = '[[record]]\nname = "hotline"\ngate = "after-consent"\n'
OBJECT = '[[record]]\nname = "hotline"\ngate = "discard-on-objection"\n'


def configured(where: Path, text: str) -> Config:
    file = where / "vittne.toml"
    file.write_text(text)
    return load(file, {"data": where / "data"}, {})


def recorded(scenario: Scenario, where: Path, text: str) -> Recorded:
    """Record a scenario's capture under a configuration."""
    config = configured(where, text)
    registrar = Registrar(config.data, policy_rules(config))
    settings = capture_settings(config, sampling_key(config.data))
    try:
        summary = FileRun(registrar, settings, slab_bytes=16 << 20).run(
            [str(scenario.write(where / "capture.pcap"))], "test"
        )
    finally:
        registrar.close()
    assert not summary.faults
    return Recorded(config.data, scenario)


class Room:
    """A recorder as the worker has it: a commit every two seconds, to a registrar in this process."""

    def __init__(self, where: Path, text: str) -> None:
        self.config = configured(where, text)
        self.registrar = Registrar(self.config.data, policy_rules(self.config))
        self.registrar.begin_run(["test"], 1, "test")
        self.pipeline = Pipeline(capture_settings(self.config, sampling_key(self.config.data)))
        store = Store(self.config.data, create=False)
        policy = self.registrar.policy
        self.recorder = Recorder(self.pipeline, store, self.registrar.public, self.registrar, policy=policy)

    def play(self, scenario: Scenario, until_s: float | None = None) -> None:
        for block in blocks_of(scenario.frames(), 2 * SECOND):
            if until_s is not None and int(block.at_ns[0]) >= START_NS + until_s * SECOND:
                return
            self.pipeline.feed(block)
            self.commit(self.pipeline.now_mono - 5 * SECOND)
        if until_s is None:
            self.commit(NEVER, final=True)

    def commit(self, horizon: int, final: bool = False) -> None:
        self.recorder.commit(horizon, final)
        self.recorder.settle()

    def decide(self, decision: str) -> str:
        (call,) = self.pipeline.book.calls.values()
        at = self.pipeline.now_at, self.pipeline.now_mono
        self.pipeline.recording.decide(call, Decided(decision, "api", "t", *at))
        return call.id


def long_call() -> Scenario:
    scenario = Scenario("long")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 20.0)
    dialog.bye(answered + 20.1)
    return scenario


def voices(scenario: Scenario) -> list[bytes]:
    """Return payloads of the call, as they were on the wire."""
    return [frame[54:214] for _, frame in scenario.frames() if len(frame) == 214]


def everything_under(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file())


def recordings_of(data: Path) -> list[Path]:
    return list((data / "recordings").rglob("part-*"))


def test_rules_stand_in_catalogue_manifest_and_sealed_part(tmp_path: Path, vittne: Vittne) -> None:
    found = recorded(basic.basic_call(), tmp_path, KEPT)

    call = found.call
    assert (call.site, call.tags, call.retention_class) == ("hamburg", ("sales",), "mifid-5y")
    assert call.ended_us is not None
    assert call.locked_until_us == call.expires_us
    assert call.expires_us is not None
    assert (call.expires_us - call.ended_us) / 86_400e6 in (5 * 365 + 1, 5 * 365 + 2)
    assert (call.basis["lawful_basis"], call.basis["proven"], call.basis["rule"]) == ("legal-obligation", True, "law")
    registrar = Registrar(found.data)
    manifest, _ = read_manifest(found.data / call.folder, registrar.ledger.key.verifier)
    registrar.close()
    assert manifest.policy == {"rule": "sales", "class": "mifid-5y", "site": "hamburg"}
    assert b'"retention_class":"mifid-5y"' in stored_plain(found.data, call.as_json())
    assert vittne("verify", "--all", "--data", found.data)[0] == 0


def test_without_rules_nothing_is_said(tmp_path: Path) -> None:
    call = recorded(basic.basic_call(), tmp_path, "").call

    assert (call.site, call.retention_class, call.locked_until_us, call.expires_us) == ("", "", None, None)
    assert (dict(call.basis), call.tags) == ({}, ())


def test_an_excluded_call_is_in_the_register_and_nowhere_else(tmp_path: Path) -> None:
    scenario = basic.basic_call()

    found = recorded(scenario, tmp_path, OUT)

    call = found.call
    assert (call.outcome, call.outcome_reasons) == ("excluded-by-rule", ("works council",))
    assert (call.folder, call.size_bytes, call.retention_class) == ("", 0, "")
    assert not recordings_of(found.data)
    stored = everything_under(found.data)
    assert not any(voice in stored for voice in voices(scenario))


def test_bytes_of_a_call_that_was_not_agreed_to_are_nowhere(tmp_path: Path) -> None:
    scenario, room = long_call(), Room(tmp_path, ASK)

    room.play(scenario)

    room.registrar.close()
    stored = everything_under(room.config.data)
    assert not recordings_of(room.config.data)
    assert not list((room.config.data / "keys.db").parent.rglob(".part-*"))
    assert not any(voice in stored for voice in voices(scenario))
    assert b"rec.open" not in everything_under(room.config.data / "ledger")


def test_who_objects_has_keys_and_files_gone_while_the_call_goes_on(tmp_path: Path, vittne: Vittne) -> None:
    scenario, room = long_call(), Room(tmp_path, OBJECT)
    room.play(scenario, until_s=12)
    assert recordings_of(room.config.data)
    recording = room.decide("refused")

    room.commit(room.pipeline.now_mono - 5 * SECOND)

    assert not recordings_of(room.config.data)
    assert not room.registrar.keys.parts(recording)
    assert room.registrar.catalogue.get(recording).outcome == "discarded-by-policy"
    room.commit(NEVER, final=True)
    row = room.registrar.catalogue.get(recording)
    assert (row.outcome, row.outcome_reasons, row.folder) == ("discarded-by-policy", ("refused",), "")
    room.registrar.close()
    assert b"rec.discard" in everything_under(room.config.data / "ledger")
    assert vittne("verify", "--all", "--data", room.config.data)[0] == 0


def test_an_objection_right_before_everything_dies_holds(tmp_path: Path) -> None:
    room = Room(tmp_path, OBJECT)
    room.play(long_call(), until_s=12)
    recording = room.decide("refused")
    room.registrar.note_gate(recording, "refused", "token", START_NS, erased=[recording])
    room.registrar.close()

    registrar = Registrar(room.config.data)
    assert recover(registrar) == []

    assert not recordings_of(room.config.data)
    registrar.close()


def test_a_call_that_is_agreed_to_is_sealed_from_its_first_word(tmp_path: Path) -> None:
    scenario, room = long_call(), Room(tmp_path, ASK)
    room.play(scenario, until_s=12)
    assert not recordings_of(room.config.data)
    recording = room.decide("agreed")
    for block in blocks_of(scenario.frames(), 2 * SECOND):
        if int(block.at_ns[0]) >= START_NS + 12 * SECOND:
            room.pipeline.feed(block)
            room.commit(room.pipeline.now_mono - 5 * SECOND)

    room.commit(NEVER, final=True)

    row = room.registrar.catalogue.get(recording)
    assert row.outcome == "recorded"
    assert sum(stream.stored for stream in row.streams) == len(voices(scenario))
    room.registrar.close()


# Configuration


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[record]]\nname = "x"\nthen = "percent"\n', "percent goes with then"),
        ('[[record]]\nname = "x"\npercent = 20.0\n', "percent goes with then"),
        ('[[record]]\nname = "x"\nthen = "exclude"\ngate = "after-consent"\n', "has no gate"),
        ('[[record]]\nname = "x"\nconsent_key = "1"\n', "a key decides with gate"),
        ('[[record]]\nname = "x"\ngate = "after-consent"\nconsent_key = "12"\n', "consent_key"),
        ('[[record]]\nname = "x"\ngate = "after-consent"\nconsent_key = "1"\nrefuse_key = "1"\n', "one and the same"),
        ('[[record]]\nname = "+493012345678"\n', "no telephone number"),
        ('[[record]]\nname = "x"\n[[record]]\nname = "x"\n', "two tables [[record]] have one name"),
        ('[[record]]\nname = "x"\ncallers = ["300..200"]\n', "is no range"),
        ('[[record]]\nname = "x"\nhours = ["monday"]\n', "is no time"),
        ('[[record]]\nname = "x"\nhours = ["25:00-26:00"]\n', "a day has 24 hours"),
        ('[[record]]\nname = "x"\nvalue = "y"\n', "value belongs to a header"),
        ('[site]\ntimezone = "Mars/Phobos"\n', "no such time zone"),
        ('[[retention]]\nname = "x"\nclass = "mifid"\n', "there is no class 'mifid'"),
        ('[[retention]]\nname = "x"\nclass = "unlimited"\n', "needs an owner"),
        ('[[classes]]\nname = "mine"\nleast = "2y"\ngreatest = "90d"\n', "least is longer than greatest"),
        ('[[classes]]\nname = "mine"\nleast = "2y"\n', "needs an owner"),
        ('[[classes]]\nname = "mifid-5y"\ngreatest = "1d"\n', "a class of this name already"),
        ('[[classes]]\nname = "mine"\ngreatest = "5"\n', "is no age"),
        ('[[basis]]\nname = "x"\nlawful_basis = "consent"\npurpose = "p"\n', "consent must be proven"),
        ('[[basis]]\nname = "x"\nlawful_basis = "because"\npurpose = "p"\n', "lawful_basis"),
        ('[[rules]]\nname = "x"\non = "sdp"\nthen = "agree"\n', "it decides no gate"),
    ],
)
def test_a_wrong_rule_is_told(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigErrors) as told:
        configured(tmp_path, text)

    assert words in str(told.value)


def test_a_sampling_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    first = sampling_key(tmp_path)

    assert sampling_key(tmp_path) == first
    assert len(first) == 32
    assert (tmp_path / "keys" / "sampling.key").stat().st_mode & 0o777 == 0o600


# Command line


def test_rules_are_shown_with_classes_and_grounds(tmp_path: Path, vittne: Vittne) -> None:
    configured(tmp_path, KEPT + OUT)

    status, said, _ = vittne("rules", "--config", tmp_path / "vittne.toml")

    assert status == 0
    assert "record works council: callees 1002: not recorded" in said
    assert "class mifid-5y (locked 5 y, erased after 5 y)" in said
    assert "basis law: all calls: legal-obligation, for records of trades; proof policy 7" in said
    _, said, _ = vittne("rules", "--json", "--config", tmp_path / "vittne.toml")
    assert [one["table"] for one in json.loads(said)] == ["record", "record", "retention", "basis"]


def test_rules_are_tried_on_a_capture_and_say_why(tmp_path: Path, vittne: Vittne) -> None:
    capture = basic.basic_call().write(tmp_path / "capture.pcap")
    asked: dict[str, Any] = {}
    for name, text in (("kept", KEPT), ("out", OUT), ("ask", ASK)):
        configured(tmp_path, f'data = "{tmp_path}/data"\n' + text)
        status, said, _ = vittne("rules", "--json", "--try", capture, "--config", tmp_path / "vittne.toml")
        assert status == 0
        (asked[name],) = [one for one in json.loads(said) if one["what"] == "call"]

    kept, out, ask = asked["kept"], asked["out"], asked["ask"]
    assert (kept["recording_rule"], kept["class"], kept["retention_rule"]) == ("sales", "mifid-5y", "trading")
    assert (kept["lawful_basis"], kept["basis_rule"], kept["recorded"]) == ("legal-obligation", "law", True)
    assert (out["recorded"], out["recording_rule"], out["outcome"]) == (False, "works council", "excluded-by-rule")
    assert (ask["gate"], ask["outcome"]) == ("after-consent", "discarded-by-policy")
    assert not (tmp_path / "data").exists()
    _, said, _ = vittne("rules", "--try", capture, "--config", tmp_path / "vittne.toml")
    assert "recorded by hotline, gate after-consent; no class; no basis" in said
