"""Bodies of several parts: SIPREC, ISUP, and what is left of them when they are damaged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vittne.capture.sip.message import Message, parse
from vittne.capture.sip.multipart import MAX_PARTS, read_parts
from vittne.capture.sip.sdp import Session

SIPREC = (
    b"preamble\r\n--foo\r\nContent-Type: application/sdp\r\n\r\nv=0\r\nm=audio 4000 RTP/AVP 0\r\n"
    b"\r\n--foo\r\nContent-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session;x=y\r\n"
    b"Content-ID: <meta@x>\r\n\r\n<recording/>\r\n--foo--\r\nepilogue"
)


def test_a_siprec_body_is_an_sdp_and_metadata() -> None:
    parts = read_parts("multipart/mixed;boundary=foo", "", SIPREC)

    assert [(part.content_type, part.disposition) for part in parts] == [
        ("application/sdp", ""),
        ("application/rs-metadata+xml", "recording-session"),
    ]
    assert parts[0].body == b"v=0\r\nm=audio 4000 RTP/AVP 0\r\n"
    assert (parts[1].body, parts[1].content_id) == (b"<recording/>", "meta@x")


def test_the_boundary_is_found_when_it_is_not_named() -> None:
    assert read_parts("multipart/mixed", "", SIPREC) == read_parts('multipart/mixed;boundary="foo"', "", SIPREC)


def test_lf_line_ends_and_a_missing_last_boundary_are_read() -> None:
    body = SIPREC.replace(b"\r\n", b"\n").partition(b"\n--foo--")[0]

    assert [part.body for part in read_parts("multipart/related;boundary=foo", "", body)] == [
        b"v=0\nm=audio 4000 RTP/AVP 0\n",
        b"<recording/>",
    ]


def test_parts_nest_to_a_small_depth() -> None:
    body = b"v=0\r\n"
    kind = b"application/sdp"
    for name in (b"a", b"b"):
        body = b"--%s\r\nContent-Type: %s\r\n\r\n%s\r\n--%s--" % (name, kind, body, name)
        kind = b"multipart/alternative;boundary=" + name

    assert [part.content_type for part in read_parts(kind.decode(), "", body)] == ["application/sdp"]


def test_the_number_of_parts_has_a_bound() -> None:
    body = b"--a\r\n\r\nx\r\n" * 1000

    assert len(read_parts("multipart/mixed;boundary=a", "", body)) <= MAX_PARTS


def test_a_message_finds_its_sdp_among_the_parts() -> None:
    head = b"INVITE sip:b SIP/2.0\r\nf: <sip:a@x>\r\nt: <sip:b@x>\r\ni: 1\r\nCSeq: 1 INVITE\r\n"
    isup = b"--u\r\nContent-Type: application/ISUP;version=x\r\n\r\n\x01\x00--\r\n"
    sdp = b"--u\r\nc: application/sdp\r\n\r\nv=0\r\nm=audio 4000 RTP/AVP 8\r\n\r\n--u--\r\n"

    message = parse(head + b"c: multipart/mixed;boundary=u\r\n\r\n" + isup + sdp)

    assert isinstance(message, Message)
    assert message.parts()[0].body == b"\x01\x00--"
    session = message.sdp()
    assert isinstance(session, Session)
    assert session.media[0].port == 4000


def test_an_sdp_without_content_type_is_known_by_its_first_line() -> None:
    message = parse(b"ACK sip:b SIP/2.0\r\nf: <sip:a@x>\r\nt: <sip:b@x>\r\ni: 1\r\nCSeq: 1 ACK\r\n\r\nv=0\r\n")

    assert isinstance(message, Message)
    assert isinstance(message.sdp(), Session)


@given(st.lists(st.sampled_from([b"--a", b"--", b"\r\n", b"\n", b"x", b": ", b"Content-Type", b"multipart/mixed"])))
def test_any_body_gives_parts(pieces: list[bytes]) -> None:
    body = b"".join(pieces)

    for kind in ("multipart/mixed;boundary=a", "multipart/mixed", ""):
        assert sum(len(part.body) for part in read_parts(kind, "", body)) <= len(body)
