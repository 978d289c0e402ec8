"""What can be set is checked, and a secret is read from its file only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from triggers.written import ami_settings, esl_settings

from vittne.appliance.datadir import ConfigError
from vittne.appliance.store.errors import StoreError
from vittne.appliance.triggers.payment import Destinations
from vittne.appliance.triggers.settings import read_secret


def test_the_defaults_are_the_ports_and_names_of_the_handbook() -> None:
    ami, esl = ami_settings(), esl_settings()

    assert (ami.port, ami.tls, ami.verify, ami.plain_login, ami.resume_on_leave) == (5038, False, True, False, False)
    assert (ami.user_events.pause, ami.user_events.resume) == (("VittnePause",), ("VittneResume",))
    assert (esl.port, esl.custom_events.pause) == (8021, ("vittne::pause",))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"secret": "x"}, "Extra inputs are not permitted"),
        ({"port": "5038"}, "valid integer"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"name": "a b"}, "32 at most"),
        ({"username": "a\r\nAction: Originate"}, "one word"),
        ({"host": ""}, "one word"),
        ({"payment_destinations": ["8500", "8500"]}, "named twice"),
        ({"user_events": {"pause": ["X"], "resume": ["x"]}}, "both pause and resume"),
        ({"ca_file": "/ca.pem"}, "tls = true only"),
        ({"verify": False}, "tls = true only"),
    ],
)
def test_a_wrong_value_says_what_is_expected(values: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        ami_settings(**values)


def test_a_password_crosses_the_network_readable_only_on_purpose() -> None:
    with pytest.raises(ValidationError, match="stunnel"):
        esl_settings(host="10.0.0.6")

    assert esl_settings(host="10.0.0.6", tls=True).is_private
    assert not esl_settings(host="10.0.0.6", plain_login=True).is_private
    assert esl_settings(host="::1").is_private
    assert esl_settings(host="localhost").is_private


def test_a_secret_is_one_line_that_others_cannot_read(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("correct-horse\n")
    file.chmod(0o600)
    assert read_secret(file) == "correct-horse"

    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod"):
        read_secret(file)


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"\xff\xfe", b"x" * 5000])
def test_what_is_no_secret_is_told_without_showing_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    file.chmod(0o600)

    with pytest.raises(ConfigError) as raised:
        read_secret(file)

    assert "lines" not in str(raised.value)


def test_a_secret_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read the secret"):
        read_secret(tmp_path / "none")


@pytest.mark.parametrize(
    ("dialled", "found"),
    [
        ("PJSIP/4930123456@trunk", "+49 30 123456"),
        ("{origination_uuid=x}sofia/gateway/pay/4930123456", "+49 30 123456"),
        ("sip:payline@provider.example", "payline"),
        ("8500", ""),
        ("85", ""),
        ("", ""),
        ("-", ""),
    ],
)
def test_a_payment_destination_is_found_in_what_is_dialled(dialled: str, found: str) -> None:
    assert Destinations(["+49 30 123456", "payline", "-"]).find("201", dialled) == found
