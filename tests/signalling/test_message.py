"""SIP messages: RFC 3261 as the field writes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vittne.capture.errors import Malformed
from vittne.capture.sip.headers import NameAddr, read_name_addr, read_params, split_list, user_part
from vittne.capture.sip.message import MAX_HEADERS, Message, parse
from vittne.capture.sip.sdp import Session

INVITE = b"""\
INVITE sip:+4686123456@sbc.example.com:5060;user=phone SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds;rport, SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKother
Max-Forwards: 70
From: "Andersson, \\"Alice\\"" <sip:alice@example.com>;tag=9fxced76sl
To: <sip:+4686123456@sbc.example.com;user=phone>
Call-ID: 3848276298220188511@192.0.2.1
CSeq: 314159 INVITE
Contact: <sip:alice@192.0.2.1:5060;transport=udp>;expires=60
Supported: timer, replaces
Supported: 100rel
Subject: one, two
Content-Type: Application/SDP ; charset=x
Content-Length: 100

v=0
o=- 1 2 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=0 0
m=audio 49170 RTP/AVP 8
a=sendonly
""".replace(b"\n", b"\r\n")

MINIMAL = b"OPTIONS sip:b SIP/2.0\r\nf: <sip:a@x>;tag=1\r\nt: <sip:b@x>\r\ni: c1\r\nCSeq: 7 OPTIONS\r\n"


def message(data: bytes) -> Message:
    """Parse what must parse."""
    parsed = parse(data)
    assert isinstance(parsed, Message), parsed
    return parsed


def reason(data: bytes) -> str:
    """Parse what must be refused."""
    parsed = parse(data)
    assert isinstance(parsed, Malformed), parsed
    return parsed.reason


def test_an_invite_says_who_calls_whom_and_with_what() -> None:
    invite = message(INVITE)

    assert (invite.is_request, invite.method, invite.status, invite.cseq) == (True, "INVITE", 0, 314159)
    assert invite.request_uri == "sip:+4686123456@sbc.example.com:5060;user=phone"
    assert invite.call_id == "3848276298220188511@192.0.2.1"
    assert (invite.from_.display, invite.from_.user) == ('Andersson, "Alice"', "alice")
    assert (invite.from_.tag, invite.to.tag, invite.to.user) == ("9fxced76sl", "", "+4686123456")
    assert invite.branch == "z9hG4bK776asdhds"
    assert invite.contact is not None
    assert invite.contact.params == {"expires": "60"}
    assert invite.content_type == "application/sdp"
    assert not invite.cut
    session = invite.sdp()
    assert isinstance(session, Session)
    assert session.media[0].is_held


def test_a_response_takes_its_method_from_cseq() -> None:
    ringing = message(MINIMAL.replace(b"OPTIONS sip:b SIP/2.0", b"SIP/2.0 180 Ringing, wait").replace(b"7 O", b"7 X"))

    assert (ringing.is_request, ringing.status, ringing.reason) == (False, 180, "Ringing, wait")
    assert (ringing.method, ringing.request_uri) == ("XPTIONS", "")


def test_headers_are_found_by_any_of_their_names() -> None:
    invite = message(INVITE)

    assert invite.get("CALL-ID") == invite.get("i") == invite.get("call-id") == invite.call_id
    assert invite.get("k") == "timer, replaces"
    assert invite.all("SUPPORTED") == ["timer", "replaces", "100rel"]
    assert invite.all("subject") == ["one, two"]
    assert len(invite.all("v")) == 2
    assert invite.get("x-none") is None
    assert invite.all("x-none") == []


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_folded_lines_belong_to_the_line_above(newline: bytes) -> None:
    data = MINIMAL + b"Subject: I know\r\n  you are\r\n\tthere\r\n\r\nbody"

    folded = message(data.replace(b"\r\n", newline))

    assert folded.get("s") == "I know you are there"
    assert folded.body == b"body"


def test_keep_alives_before_a_message_are_passed_over() -> None:
    assert message(b"\r\n\r\n" + INVITE) == message(INVITE)
    assert reason(b"\r\n\r\n") == reason(b"") == "sip: empty"


def test_the_body_ends_at_content_length_or_with_the_datagram() -> None:
    head = MINIMAL + b"Content-Length: %s\r\n\r\n"

    exact, padded, short = (message(head % size + b"12345") for size in (b"5", b"2", b"9999"))

    assert (exact.body, exact.cut) == (b"12345", False)
    assert (padded.body, padded.cut) == (b"12", False)
    assert (short.body, short.cut) == (b"12345", True)
    assert message(MINIMAL + b"\r\n12345").body == b"12345"
    assert message(MINIMAL + b"l:\r\n\r\n12345").body == b"12345"


def test_a_head_cut_by_the_snap_length_loses_its_half_line() -> None:
    half = message(MINIMAL + b"Contact: <sip:alice@19")

    assert half.cut
    assert half.contact is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ((b"SIP/2.0", b"SIP/7.0"), "sip: version"),
        ((b" SIP/2.0", b""), "sip: start line"),
        ((b"OPTIONS sip:b SIP/2.0", b"SIP/2.0 4294967301 no"), "sip: status"),
        ((b"OPTIONS sip:b SIP/2.0", b"SIP/2.0 099 no"), "sip: status"),
        ((b"i: c1", b"i:"), "sip: no call-id"),
        ((b"i: c1", b"i: " + b"c" * 2000), "sip: call-id too long"),
        ((b"tag=1", b"tag=" + b"t" * 2000), "sip: tag too long"),
        ((b"f: ", b"x: "), "sip: no from"),
        ((b"t: ", b"x: "), "sip: no to"),
        ((b"CSeq", b"NSeq"), "sip: no cseq"),
        ((b"7 OPT", b"-7 OPT"), "sip: cseq"),
        ((b"7 OPT", b"36893488147419103232 OPT"), "sip: cseq"),
        ((b"7 OPT", "²".encode() + b" OPT"), "sip: cseq"),
        ((b"i: c1", b"i: c1\r\nl: -999"), "sip: content-length"),
        ((b"i: c1", b"i: c1\r\nl: 99999999999"), "sip: content-length"),
        ((b"i: c1", b"i: c1" + b"\r\nx: y" * MAX_HEADERS), "sip: too many headers"),
        ((b"i: c1", b"i: c1\r\nx: " + b"y" * 70_000), "sip: head too long"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_with_its_reason(change: tuple[bytes, bytes], expected: str) -> None:
    assert reason(MINIMAL.replace(*change) + b"\r\n") == expected


def test_a_refusal_shows_no_control_characters() -> None:
    refused = parse(b"\x1b[2J\x00 hello" * 100 + b"\r\n\r\n")

    assert isinstance(refused, Malformed)
    assert refused.detail.isprintable()
    assert len(refused.detail) <= 200


def test_bytes_that_are_not_utf8_stay_different() -> None:
    one, other = (message(MINIMAL.replace(b"c1", name) + b"\r\n") for name in (b"\xe5", b"\xe4"))

    assert (one.call_id, other.call_id) == ("å", "ä")
    assert message(MINIMAL.replace(b"c1", b"a\x00b\xc2\x9bc") + b"\r\n").call_id == "a�b�c"


def test_via_may_be_missing_and_lines_may_be_nonsense() -> None:
    bare = message(MINIMAL + b"no colon here\r\n: no name\r\n\r\n")

    assert bare.branch == ""
    assert [name for name, _ in bare.headers] == ["from", "to", "call-id", "cseq"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("sip:bob@x.org;tag=7", NameAddr("", "sip:bob@x.org", "7", {"tag": "7"})),
        ("<sip:bob@x.org;tag=7>", NameAddr("", "sip:bob@x.org;tag=7")),
        ("Bob B <sip:b@x>; TAG = 8 ;lr", NameAddr("Bob B", "sip:b@x", "8", {"tag": "8", "lr": ""})),
        ('"<sip:evil@x>" <sip:b@x>;tag=1', NameAddr("<sip:evil@x>", "sip:b@x", "1", {"tag": "1"})),
        ('"Open <sip:b@x>;tag=2', NameAddr("Open", "sip:b@x", "2", {"tag": "2"})),
        ('"A" < sip:b@x >', NameAddr("A", "sip:b@x")),
        ("<sip:b@x", NameAddr("", "sip:b@x")),
        ("tel:+46-8-123;ext=4", NameAddr("", "tel:+46-8-123", "", {"ext": "4"})),
        ('<sip:b@x>;n="a;b\\"c";tag=3', NameAddr("", "sip:b@x", "3", {"n": 'a;b"c', "tag": "3"})),
        ("*", NameAddr("", "*")),
    ],
)
def test_names_with_addresses_are_read(value: str, expected: NameAddr) -> None:
    assert read_name_addr(value) == expected


@pytest.mark.parametrize(
    ("uri", "user"),
    [
        ("sip:alice@example.com", "alice"),
        ("sips:alice:secret@example.com", "alice"),
        ("sip:I%20have%20spaces@example.net", "I have spaces"),
        ("sip:+46812;phone-context=+46@x;user=phone", "+46812"),
        ("sip:user;par=u%40example.net@example.com", "user;par=u@example.net"),
        ("tel:+358-555-1234567;postd=pp22", "+358-555-1234567"),
        ("sip:null-%00-null@x", "null-%00-null"),
        ("sip:bob@x?Replaces=1@y", "bob"),
        ("sip:pbx.example.com", ""),
        ("alan@jasomi.com", "alan"),
        ("", ""),
    ],
)
def test_the_user_part_of_a_uri_is_what_people_dial(uri: str, user: str) -> None:
    assert user_part(uri) == user


@given(st.lists(st.text(st.characters(exclude_characters='",<>\\', categories=["L", "N", "P"]), min_size=1)))
def test_splitting_undoes_joining(items: list[str]) -> None:
    assert split_list(", ".join(items)) == items


@given(st.text(st.sampled_from('a;=",<>\\ \t%')))
def test_any_header_text_gives_values(text: str) -> None:
    split_list(text)
    read_params(text)
    read_name_addr(text).user  # noqa: B018


@given(st.binary(), st.integers(0, len(INVITE)), st.integers(0, 40))
def test_a_damaged_message_gives_a_message_or_a_reason(noise: bytes, at: int, gone: int) -> None:
    parsed = parse(INVITE[:at] + noise + INVITE[at + gone :])

    if isinstance(parsed, Message):
        assert len(parsed.body) <= len(parsed.raw)
        parsed.sdp()
        assert parsed.call_id
    else:
        assert parsed.reason.startswith("sip: ")
