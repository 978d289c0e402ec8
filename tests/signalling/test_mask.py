"""What is left of a message: as long as it was, without keys, credentials and digits."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vittne.capture.sip.mask import masked
from vittne.capture.sip.message import Message, parse

KEY = base64.b64encode(bytes(range(100, 130))).decode()


def message(start: str, *headers: str, body: str = "", line_end: str = "\r\n") -> bytes:
    names = ["Call-ID: a@b", "CSeq: 1 INFO", "From: <sip:1001@x>;tag=1", "To: <sip:1002@x>;tag=2"]
    lines = [start, *names, *headers, f"Content-Length: {len(body)}", "", body]
    return line_end.join(lines).encode()


@given(st.binary(max_size=400))
def test_garbage_keeps_its_length(raw: bytes) -> None:
    assert len(masked(raw)) == len(raw)


@given(
    st.sampled_from(["a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:", "a=crypto: 1 inline:", "a=crypto:9 X  inline:"])
    | st.sampled_from(["A=CRYPTO:1 AES_CM_128_HMAC_SHA1_32 inline:", "k=base64:", "k=clear:", "a=key-mgmt:mikey "])
    | st.sampled_from(["a=acap:1 crypto:1 AES_CM_128_HMAC_SHA1_80 inline:", "a=acap:2 key-mgmt:mikey "]),
    st.sampled_from(["", "|2^20|1:4", " FEC_ORDER=FEC_SRTP"]),
    st.sampled_from(["\r\n", "\n"]),
    st.sampled_from(["INVITE sip:b@c SIP/2.0", "SIP/2.0 200 OK"]),
)
def test_no_key_survives(line: str, rest: str, line_end: str, start: str) -> None:
    body = line_end.join(["v=0", "m=audio 4000 RTP/SAVP 0", line + KEY + rest, "a=sendrecv", ""])
    raw = message(start, "Content-Type: application/sdp", body=body, line_end=line_end)

    kept = masked(raw)

    assert len(kept) == len(raw)
    assert KEY.encode() not in kept
    assert KEY[:12].encode() not in kept
    assert b"a=sendrecv" in kept


def test_tag_and_suite_of_a_key_stay() -> None:
    raw = message("INVITE sip:b@c SIP/2.0", body=f"v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n")

    assert b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 ****" in masked(raw)


@pytest.mark.parametrize("name", ["Authorization", "Proxy-Authorization", "AUTHORIZATION", "proxy-authorization"])
def test_credentials_go_with_their_continuation_lines(name: str) -> None:
    raw = message("REGISTER sip:x SIP/2.0", f'{name}: Digest username="u1001",\r\n response="00ff11ee"', "Subject: s")

    kept = masked(raw)

    assert len(kept) == len(raw)
    assert b"00ff11ee" not in kept
    assert b"u1001" not in kept
    assert b"Subject: s" in kept


DIGIT_BODIES = [
    ("application/dtmf-relay", "Signal={key}\r\nDuration=160\r\n"),
    ("application/dtmf-relay", "Signal= {key}\r\nDuration= 160\r\n"),
    ("application/dtmf-relay", "Duration=160\r\nSignal:{key}"),
    ("application/dtmf", "{key}"),
    ("application/dtmf; x=y", "{key}\r\n"),
    ("audio/telephone-event", "{key}"),
    ("application/vnd.nortelnetworks.digits", "p=Digit-Collection\r\ny=Digits\r\ns=success\r\nd={key}\r\n"),
    ("application/kpml-response+xml", '<kpml-response version="1.0" code="200" digits="{key}" tag="dtmf"/>'),
    ("application/kpml-response+xml", "<kpml-response digits='{key}'/>"),
    ("application/json", '{{"type": "dtmf", "digit": "{key}"}}'),
    ("application/x-www-form-urlencoded", "duration=9&signal={key}&x=y"),
    ("application/xml", "<a:digits>{key}</a:digits>"),
]


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize(("kind", "body"), DIGIT_BODIES)
@pytest.mark.parametrize("key", ["5", "#", "*", "D"])
def test_no_dialled_digit_survives(kind: str, body: str, key: str, compact: bool) -> None:
    text = body.format(key=key)
    name = "c" if compact else "Content-Type"
    raw = message("INFO sip:b@c SIP/2.0", f"{name}: {kind}", body=text)
    before = raw.rpartition(b"\r\n\r\n")[0]

    kept = masked(raw)

    assert len(kept) == len(raw)
    assert kept.startswith(before)
    marked = kept[len(before) + 4 :].decode()
    place = body.index("{key}") - 2 * body[: body.index("{key}")].count("{{") // 2
    assert marked[place] == "*"


def test_digits_in_one_part_of_several_go() -> None:
    parts = [
        "--b",
        "Content-Type: text/plain",
        "",
        "x",
        "--b",
        "Content-Type: application/dtmf-relay",
        "",
        "Signal=7",
        "--b--",
    ]
    raw = message("INFO sip:b@c SIP/2.0", "Content-Type: multipart/mixed;boundary=b", body="\r\n".join(parts))

    assert b"Signal=*" in masked(raw)


def test_a_plain_message_is_left_as_it_is() -> None:
    raw = message("INVITE sip:b@c SIP/2.0", "Content-Type: application/sdp", body="v=0\r\na=rtpmap:0 PCMU/8000\r\n")

    assert masked(raw) == raw


def test_a_masked_message_is_still_the_same_message() -> None:
    raw = message("INFO sip:b@c SIP/2.0", "Content-Type: application/dtmf-relay", body="Signal=7\r\nDuration=100\r\n")

    before, after = parse(raw), parse(masked(raw))

    assert isinstance(before, Message)
    assert isinstance(after, Message)
    assert before.headers == after.headers
