"""Lines of the log in a support bundle: what the program says stays, what anybody else said goes."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vittne.appliance.log import fault
from vittne.appliance.support.names import Names
from vittne.appliance.support.sip import scrub_sip
from vittne.appliance.support.text import scrub_line, scrub_text, vocabulary

ID = "0b9e5c2a-6a8b-4d3e-8f0a-111122223333"


def test_a_line_of_ours_stays_as_it_is() -> None:
    line = {
        "event": "alarm: the disk is nearly full",
        "percent": 93.1,
        "recording": ID,
        "level": "error",
        "timestamp": "2026-11-23T22:16:47.123456Z",
    }

    assert json.loads(scrub_line(json.dumps(line), Names())) == line


@pytest.mark.parametrize(
    "text",
    [
        "Ragnhild Qvarnberg called",
        "+46701234567",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4 1 1 1 1 1 1 1",
        "sip:1001001@pbx.kund.example",
        "password=hemligtlosen",
        "Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc",
        "192.0.2.17 2001:db8::17",
        "/srv/kunden/Storgatan",
    ],
)
def test_what_came_from_elsewhere_goes(text: str) -> None:
    found = scrub_text(f"it failed: {text}", Names())

    assert text not in found
    for word in re.findall(r"[A-Za-z]{5,}|[0-9]{5,}", text):
        assert word in ("called", "password", "example", "Bearer") or word not in found


def test_of_a_fault_the_places_stay_and_not_what_it_said() -> None:
    try:
        json.loads("+46701234567 Ragnhild")
    except ValueError as error:
        found = scrub_text(fault(error), Names())

    assert found.startswith("JSONDecodeError < ")
    assert "json/decoder.py" in found
    assert "Ragnhild" not in found


def test_the_programs_words_name_nobody() -> None:
    people = {"anna", "ragnhild", "svensson", "müller", "garcía", "smith", "johansson", "storgatan"}

    assert not people & vocabulary()
    assert {"disk", "recording", "packets", "kernel"} <= vocabulary()


@given(number=st.from_regex(r"[0-9]{6,16}", fullmatch=True), place=st.integers(0, 9))
def test_no_long_number_comes_through_a_message_wherever_it_stands(number: str, place: int) -> None:
    parts = [""] * 10
    parts[place] = number
    user, host, tag, call_id, branch, header, subject, agent, sdp, display = (one or "x" for one in parts)
    raw = (
        f"INVITE sip:{user}@{host}.example SIP/2.0\r\nVia: SIP/2.0/UDP {host}.example;branch=z9hG4bK{branch}\r\n"
        f'From: "{display}" <sip:{user}@{host}.example>;tag={tag};x={number}\r\n'
        f"To: <tel:{user}>\r\nCall-ID: {call_id}\r\n"
        f"CSeq: 1 INVITE\r\nX-{header}: {header}\r\nSubject: {subject}\r\nUser-Agent: {agent}/{agent}\r\n"
        f"Expires: {number}\r\n"
        f"Content-Type: application/sdp\r\n\r\nv=0\r\no={sdp} {sdp} 1 IN IP4 192.0.2.1\r\ns={sdp}\r\np={sdp}\r\n"
        f"m=audio {sdp} RTP/AVP {sdp}\r\na={sdp}\r\na=fmtp:101 {sdp}\r\n"
    ).encode()

    assert number.encode() not in scrub_sip(raw, Names())


@given(raw=st.binary(max_size=600))
def test_whatever_comes_something_harmless_comes_out(raw: bytes) -> None:
    head = b"INVITE sip:a@b SIP/2.0\r\nCall-ID: c\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\nCSeq: 1 INVITE\r\n"

    assert scrub_sip(head + raw, Names()).isascii()
