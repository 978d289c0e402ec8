"""Session descriptions: offers and answers as phones, PBXs and browsers write them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vittne.capture.errors import Malformed
from vittne.capture.sip.crypto import KEY_AND_SALT, read_crypto
from vittne.capture.sip.sdp import MAX_LINES, MAX_MEDIA, Media, Session, parse
from vittne.codecs.formats import STATIC, Format

OFFER = """\
v=0
o=alice 2890844526 2890844527 IN IP4 host.atlanta.example.com
s=-
c=IN IP4 192.0.2.5
t=0 0
a=ptime:20
m=audio 49170/2 RTP/AVP 8 0 18 97 101 13
a=rtpmap:8 pcma/8000/1
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:97 iLBC/8000
a=rtpmap:101 Telephone-Event/8000
a=fmtp:101 0-15
a=maxptime:60
m=video 0 RTP/AVP 31
c=IN IP6 2001:db8::1
a=recvonly
"""


def session(text: str) -> Session:
    """Parse what must parse."""
    parsed = parse(text.encode())
    assert isinstance(parsed, Session), parsed
    return parsed


def media(*lines: str) -> Media:
    """Return the one media of a description with these lines from m= on."""
    return session("\n".join(["v=0", "c=IN IP4 192.0.2.5", *lines])).media[0]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_an_offer_says_where_and_in_what_formats(newline: str) -> None:
    offer = session(OFFER.replace("\n", newline))
    audio, video = offer.media

    assert (offer.origin_user, offer.session_id, offer.version) == ("alice", "2890844526", "2890844527")
    assert (offer.origin_address, offer.name, offer.address) == ("host.atlanta.example.com", "-", "192.0.2.5")
    assert (audio.kind, audio.port, audio.port_count, audio.protocol) == ("audio", 49170, 2, "RTP/AVP")
    assert (audio.address, audio.direction, audio.ptime_ms, audio.maxptime_ms) == ("192.0.2.5", "sendrecv", 20, 60)
    assert audio.payloads == {
        8: Format("PCMA", 8000),
        0: STATIC[0],
        18: Format("G729", 8000, 1, "annexb=no"),
        97: Format("iLBC", 8000),
        101: Format("telephone-event", 8000, 1, "0-15"),
        13: STATIC[13],
    }
    assert list(audio.payloads) == [8, 0, 18, 97, 101, 13]
    assert (video.address, video.direction, video.is_rejected) == ("2001:db8::1", "recvonly", True)


@pytest.mark.parametrize(
    ("lines", "held"),
    [
        (["m=audio 4000 RTP/AVP 0"], False),
        (["a=sendonly", "m=audio 4000 RTP/AVP 0"], True),
        (["a=sendonly", "m=audio 4000 RTP/AVP 0", "a=sendrecv"], False),
        (["m=audio 4000 RTP/AVP 0", "a=inactive"], True),
        (["m=audio 4000 RTP/AVP 0", "a=recvonly"], False),
        (["m=audio 4000 RTP/AVP 0", "c=IN IP4 0.0.0.0"], True),
        (["m=audio 4000 RTP/AVP 0", "c=IN IP6 ::"], True),
        (["m=audio 9 UDP/TLS/RTP/SAVPF 0", "c=IN IP4 0.0.0.0", "a=ice-ufrag:x"], False),
    ],
)
def test_hold_is_told_the_new_way_and_the_old(lines: list[str], held: bool) -> None:
    assert media(*lines).is_held is held


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("c=IN IP4 224.2.36.42/127/3", "224.2.36.42"),
        ("c=IN IP6 FF15::101/3", "FF15::101"),
        ("c=IN IP4 media.example.com", "media.example.com"),
        ("c=IN IP4", "192.0.2.5"),
        ("c=IN IP4 10.0.0.1\nc=IN IP4 10.0.0.2", "10.0.0.1"),
    ],
)
def test_the_address_is_that_of_the_first_connection_line(line: str, address: str) -> None:
    assert media("m=audio 4000 RTP/AVP 0", line).address == address


def test_browsers_describe_rtcp_ice_and_dtls() -> None:
    audio = media(
        "a=group:BUNDLE audio video",
        "a=fingerprint:sha-256 AB:CD",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 103",
        "a=rtpmap:111 OPUS/48000/2",
        "a=fmtp:111 minptime=10",
        "a=fmtp:111 useinbandfec=1",
        "a=rtcp:53020 IN IP6 2001:db8::2",
        "a=rtcp-mux",
        "a=candidate:1 1 UDP 2130706431 10.0.1.1 8998 typ host",
        "a=candidate:2 2 udp 1694498815 192.0.2.3 45664 typ srflx raddr 10.0.1.1 rport 8998",
        "a=candidate:3 1 TCP 1 10.0.1.1 9 typ host tcptype active",
        "a=setup:ACTPASS",
        "a=mid:audio",
        "a=ssrc:4294967295 cname:x",
        "a=ssrc:4294967295 msid:y",
        "a=ssrc:7 cname:x",
        "a=ssrc:4294967296 cname:x",
    )

    assert audio.payloads == {111: Format("opus", 48000, 2, "minptime=10;useinbandfec=1")}
    assert (audio.rtcp_port, audio.rtcp_address, audio.rtcp_mux) == (53020, "2001:db8::2", True)
    assert audio.candidates == (("10.0.1.1", 8998, 1), ("192.0.2.3", 45664, 2))
    assert (audio.fingerprint, audio.setup, audio.mid) == ("sha-256 AB:CD", "actpass", "audio")
    assert audio.ssrcs == (4294967295, 7)
    assert session("v=0\na=group:BUNDLE audio video").bundles == (("audio", "video"),)


def test_fax_and_other_protocols_keep_their_formats() -> None:
    fax = media("m=image 5000 udptl t38", "a=T38FaxVersion:0")

    assert (fax.kind, fax.protocol, fax.formats, fax.payloads) == ("image", "udptl", ("t38",), {})
    assert fax.attributes == (("t38faxversion", "0"),)


def test_lines_may_be_missing_doubled_or_nonsense() -> None:
    bare = session(
        "m=audio 4000 RTP/AVP\n\n  \nnonsense\nm =video 1 RTP/AVP 0\na=rtpmap\na=sendonly\na=sendrecv\na=ptime:x"
    )

    assert [one.kind for one in bare.media] == ["audio"]
    assert (bare.media[0].formats, bare.media[0].direction, bare.media[0].ptime_ms) == ((), "sendrecv", None)
    assert (bare.address, bare.media[0].address, bare.version) == ("", "", "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "sdp: not sdp"),
        ("hello\r\nworld", "sdp: not sdp"),
        ("v=0\nm=audio", "sdp: media line"),
        ("v=0\nm=audio 70000 RTP/AVP 0", "sdp: port"),
        ("v=0\nm=audio -1 RTP/AVP 0", "sdp: port"),
        ("v=0\nm=audio ٣ RTP/AVP 0", "sdp: port"),
        ("v=0\nm=audio 4000/0 RTP/AVP 0", "sdp: port"),
        ("v=0\nm=audio 4000 RTP/AVP" + " 0" * 300, "sdp: too many formats"),
        ("v=0\n" + "m=audio 4000 RTP/AVP 0\n" * (MAX_MEDIA + 1), "sdp: too many media"),
        ("v=0\n" + "a=x\n" * MAX_LINES, "sdp: too many lines"),
        ("v=0\na=" + "x" * 300_000, "sdp: too long"),
    ],
)
def test_what_is_no_session_is_refused_with_its_reason(text: str, reason: str) -> None:
    assert parse(text.encode()) == Malformed(reason)


@pytest.mark.parametrize(("suite", "size"), KEY_AND_SALT.items())
def test_every_suite_gives_its_key_and_salt(suite: str, size: int) -> None:
    key_salt = bytes(range(size))
    text = base64.b64encode(key_salt).decode()

    for written in (text, text.rstrip("=")):
        audio = media("m=audio 4000 RTP/SAVP 0", f"a=crypto:1 {suite} inline:{written}|2^20|1:4 UNENCRYPTED_SRTCP")
        (crypto,) = audio.cryptos
        assert (crypto.tag, crypto.suite, crypto.key_salt) == (1, suite, key_salt)
        assert (crypto.lifetime, crypto.mki, crypto.mki_length) == ("2^20", 1, 4)
        assert crypto.session_params == ("UNENCRYPTED_SRTCP",)


@pytest.mark.parametrize(
    ("value", "suite", "key_size", "mki", "further"),
    [
        ("2 aes_cm_256_hmac_sha1_80 inline:" + "A" * 62, "AES_256_CM_HMAC_SHA1_80", 46, None, 0),
        ("2 AES_CM_128_HMAC_SHA1_80 inline:AAAA", "AES_CM_128_HMAC_SHA1_80", 0, None, 0),
        ("2 AES_CM_128_HMAC_SHA1_80 inline:!!!!", "AES_CM_128_HMAC_SHA1_80", 0, None, 0),
        ("2 NEW_SUITE inline:AAAA|1:1;inline:BBBB|2:1", "NEW_SUITE", 3, 1, 1),
        ("2 NEW_SUITE inline:AAAA|999:1", "NEW_SUITE", 3, None, 0),
    ],
)
def test_keys_are_read_as_far_as_they_go(value: str, suite: str, key_size: int, mki: int | None, further: int) -> None:
    crypto = read_crypto(value)

    assert crypto is not None
    assert (crypto.suite, len(crypto.key_salt), crypto.mki, crypto.further_keys) == (suite, key_size, mki, further)


def test_keys_do_not_show_when_printed() -> None:
    crypto = read_crypto("1 AES_CM_128_HMAC_SHA1_80 inline:" + "Q" * 40)

    assert "QQQ" not in repr(crypto)
    assert "crypto" not in repr(read_crypto("x AES_CM_128_HMAC_SHA1_80 inline:AAAA"))
    assert read_crypto("1 AES_CM_128_HMAC_SHA1_80 prompt:AAAA") is None


@given(st.binary(), st.integers(0, len(OFFER)), st.integers(0, 40))
def test_a_damaged_description_gives_a_session_or_a_reason(noise: bytes, at: int, gone: int) -> None:
    parsed = parse(OFFER.encode()[:at] + noise + OFFER.encode()[at + gone :])

    if isinstance(parsed, Session):
        for one in parsed.media:
            assert 0 <= one.port <= 65_535
            assert all(0 <= number <= 127 for number in one.payloads)
    else:
        assert parsed.reason.startswith("sdp: ")


@given(st.lists(st.text(st.sampled_from("0123456789.:/| abINPt=;^-"))))
def test_any_attribute_values_are_read_or_left_out(values: list[str]) -> None:
    names = ["rtpmap", "fmtp", "ptime", "rtcp", "candidate", "crypto", "ssrc", "mid", "setup", "maxptime"]

    media("m=audio 4000 RTP/AVP 0 96", *(f"a={name}:{value}" for value in values for name in names))
