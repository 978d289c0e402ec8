"""The configuration: what wins over what, and errors that say which key of which file is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vittne.appliance import record_command
from vittne.appliance.config import Config, ConfigErrors, checked, load
from vittne.appliance.datadir import ConfigError, data_dir, existing_data_dir
from vittne.appliance.pauseconfig import settings as pause_settings
from vittne.appliance.record_command import RecordOptions
from vittne.appliance.ruleconfig import refuse_anybody
from vittne.appliance.store.errors import StoreError
from vittne.capture.pause import PauseSettings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def written(folder: Path, text: str) -> Path:
    file = folder / "vittne.toml"
    file.write_text(text)
    return file


def test_without_a_file_the_defaults_hold() -> None:
    config = load(environ={})

    assert config.hold_back_s == 5
    assert config.commit_s == 2
    assert config.part_minutes == 15
    assert config.interfaces == ()
    assert config.ring.packets_per_s is None
    assert not config.record_unsignalled


def test_a_file_sets_what_it_names(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        'data = "/srv/v"\ninterfaces = ["eth1", "eth2"]\nhold_back_s = 12\n'
        "record_unsignalled = true\n[ring]\npackets_per_s = 300_000\n",
    )

    config = load(file, environ={})

    assert config.data == Path("/srv/v")
    assert config.interfaces == ("eth1", "eth2")
    assert config.hold_back_s == 12
    assert config.record_unsignalled
    assert config.ring.packets_per_s == 300_000


def test_an_option_wins_over_the_environment_that_over_the_file_and_that_over_the_default(tmp_path: Path) -> None:
    file = written(tmp_path, 'data = "/file"\n')
    environ = {"VITTNE_DATA": "/environment"}

    assert load(file, {"data": Path("/option")}, environ).data == Path("/option")
    assert load(file, {"data": None}, environ).data == Path("/environment")
    assert load(file, {}, {}).data == Path("/file")
    assert load(None, {}, {}).data == Path("var")


def test_commands_that_only_read_find_the_same_data_directory(tmp_path: Path) -> None:
    file = written(tmp_path, 'data = "/file"\n')

    for option in (None, Path("/option")):
        for environ in ({}, {"VITTNE_DATA": "/environment"}):
            for config in (None, file):
                assert data_dir(option, config, environ) == load(config, {"data": option}, environ).data


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    file = written(tmp_path, "hold_back_s = 7\n")

    assert load(environ={"VITTNE_CONFIG": str(file)}).hold_back_s == 7


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("hold_back_s = 31", "hold_back_s", "less than or equal to 30"),
        ("hold_back_s = 1.9", "hold_back_s", "greater than or equal to 2"),
        ('hold_back_s = "5"', "hold_back_s", "number"),
        ("holdback = 5", "holdback", "no such key"),
        ("interfaces = [5]", "interfaces.0", "string"),
        ('interfaces = ["a/b"]', "interfaces", "'a/b' is no name of an interface"),
        ('interfaces = ["eth0", "eth0"]', "interfaces", "named twice"),
        ("data = 5", "data", "path"),
        ("[ring]\npackets_per_s = 0", "ring.packets_per_s", "greater than or equal to 1"),
        ("[ring]\nsize = 0", "ring.size", "no such key"),
        ("record_unsignalled = 1", "record_unsignalled", "boolean"),
    ],
)
def test_a_wrong_key_is_told_with_file_path_and_reason(tmp_path: Path, text: str, key: str, words: str) -> None:
    file = written(tmp_path, text)

    with pytest.raises(ConfigErrors) as told:
        load(file, environ={})

    (error,) = told.value.errors
    assert error.what.startswith(f"{key}: ")
    assert words in error.what
    assert error.where == str(file)


def test_every_wrong_key_is_told_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "hold_back_s = 1\ncommit_s = 90\nwhat = 3\n")

    with pytest.raises(ConfigErrors) as told:
        load(file, environ={})

    assert [error.what.partition(":")[0] for error in told.value.errors] == ["hold_back_s", "commit_s", "what"]
    assert len(str(told.value).splitlines()) == 3


def test_a_wrong_option_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "hold_back_s = 5\n")

    with pytest.raises(ConfigErrors, match=r"hold_back_s: .*: the command line: "):
        load(file, {"hold_back_s": 40.0}, {})


def test_a_file_that_is_no_toml_is_told_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no TOML .*line 2"):
        load(written(tmp_path, "hold_back_s = 5\nhello\n"), environ={})


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"read the configuration.*gone\.toml"):
        load(tmp_path / "gone.toml", environ={})


def test_a_data_directory_that_is_not_there_is_an_error_for_readers(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such data directory"):
        existing_data_dir(tmp_path / "gone", environ={})

    assert existing_data_dir(tmp_path, environ={}) == tmp_path


@given(st.dictionaries(st.sampled_from([*Config.model_fields, "x", "ring"]), JSON, max_size=4))
def test_whatever_a_file_says_it_is_a_configuration_or_errors_of_ours(values: dict[str, object]) -> None:
    found = outcome(values)

    if isinstance(found, Config):
        assert 2 <= found.hold_back_s <= 30
    else:
        assert found
        assert all(error.where == "here" for error in found)


def outcome(values: dict[str, object]) -> Config | list[ConfigError]:
    try:
        return checked(values, "here")
    except ConfigErrors as told:
        return told.errors


def test_rules_are_taken_together_with_an_option(tmp_path: Path) -> None:
    file = tmp_path / "vittne.toml"
    file.write_text('[[rules]]\nname = "key"\non = "request"\nheader = "Record"\nvalue = "off"\n')

    config = load(file, {"data": tmp_path / "data"}, {})

    assert [rule.name for rule in config.rules] == ["key"]
    assert config.data == tmp_path / "data"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[rules]]\nname = "x"\non = "digits"\ndigits = "*12"\n', "whom you record must not be able to stop"),
        ('[[rules]]\nname = "x"\non = "request"\n', "needs header or body"),
        ('[[rules]]\nname = "x"\non = "number"\nnumbers = ["1"]\nheader = "Record"\n', "header means nothing"),
        ('[[rules]]\nname = "x"\non = "sdp"\n[[rules]]\nname = "x"\non = "sdp"\n', "two rules have one name"),
        ('[[rules]]\nname = "x"\non = "sdp"\nnetworks = ["10.0.0.1/8"]\n', "is no network"),
        ("[pause]\nlease_s = 7200\n", "lease_s is longer than longest_lease_s"),
        ('[pause]\nprofile = "none"\n', "pause.profile"),
    ],
)
def test_a_wrong_rule_or_pause_is_told(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "vittne.toml"
    file.write_text(text)

    with pytest.raises(ConfigErrors, match=re.escape(words)):
        load(file, {}, {})


@pytest.mark.parametrize(
    ("rule", "is_refused"),
    [
        ({"on": "request", "header": "Record", "value": "on", "then": "resume"}, True),
        ({"on": "request", "header": "Record", "value": "on", "then": "resume", "networks": ["10.0.0.0/8"]}, False),
        ({"on": "request", "header": "Record", "value": "on", "then": "resume", "anyone": True}, False),
        ({"on": "request", "header": "Record", "value": "off"}, False),
        ({"on": "number", "numbers": ["8500"], "resume_on_leave": True}, False),
        ({"on": "sdp"}, True),
        ({"on": "siprec", "anyone": True}, False),
        ({"on": "digits", "digits": "*12", "anyone": True}, False),
    ],
)
def test_recording_begins_with_no_rule_that_obeys_anybody_unless_that_is_meant(
    tmp_path: Path, rule: dict[str, object], is_refused: bool
) -> None:
    config = checked({"data": tmp_path / "data", "rules": [{"name": "mine", **rule}]}, "a test")

    if is_refused:
        with pytest.raises(ConfigError, match=r"mine.*anyone = true"):
            record_command.run(RecordOptions(config, pcaps=("none.pcap",)))
        assert not (tmp_path / "data").exists()
    else:
        refuse_anybody(config.rules)


def test_profiles_set_what_is_not_set() -> None:
    config = checked({"pause": {"profile": "finance"}, "digits": {"auto_pause": 8}}, "a test")

    made = pause_settings(config.pause, config.digits)

    assert (made.at_lease_end, made.digit_policy, made.auto_digits) == ("resume", "keep", 8)
    assert pause_settings(Config().pause, Config().digits) == PauseSettings()
