"""Torture messages after RFC 4475: what must parse, what is read past, what is refused and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from vittne.capture.errors import Malformed
from vittne.capture.sip.message import Message, parse
from vittne.capture.sip.sdp import Session

FOLDER = Path(__file__).parents[2].parent / "shared" / "captures" / "extras" / "siptorture"

# RFC 4475 3.1.1.1: folding, spaces around everything, compact names, leading zeros, an escaped quote.
TORTUOUS = """\
INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : 150
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

v=0
o=mhandley 29739 7272939 IN IP4 192.0.2.3
s=-
c=IN IP4 192.0.2.4
t=0 0
m=audio 49217 RTP/AVP 0 12
m=video 3227 RTP/AVP 31
a=rtpmap:31 LPC
"""

REST = "To: <sip:u@example.com>\nFrom: <sip:c@example.net>;tag=3\nCall-ID: t.1\nCSeq: 8 %s\nl: 0\n\n"


def wire(text: str) -> bytes:
    """Return text as it goes over the wire."""
    return text.replace("\n", "\r\n").encode()


def test_a_short_tortuous_invite_is_read_whole() -> None:
    invite = parse(wire(TORTUOUS))

    assert isinstance(invite, Message)
    assert (invite.method, invite.cseq, invite.call_id) == ("INVITE", 9, "wsinv.ndaksdj@192.0.2.1")
    assert (invite.to.user, invite.to.tag) == ("vivekg", "1918181833n")
    assert (invite.from_.display, invite.from_.tag) == ('J Rosenberg \\"', "98asjd8")
    assert invite.branch == "390skdjuw"
    assert len(invite.all("via")) == 3
    assert invite.contact is not None
    assert invite.contact.display == 'Quoted string ""'
    assert invite.contact.params == {"newparam": "newvalue", "secondparam": "", "q": "0.33"}
    session = invite.sdp()
    assert isinstance(session, Session)
    assert [media.port for media in session.media] == [49217, 3227]


def test_methods_and_names_may_use_every_letter_that_a_token_may() -> None:
    # RFC 4475 3.1.1.2
    method = "!interesting-Method0123456789_*+`.%indeed'~"
    odd = parse(
        wire(f"{method} sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com SIP/2.0\n" + REST % method)
    )

    assert isinstance(odd, Message)
    assert odd.method == method


def test_escapes_in_a_method_or_header_name_are_not_undone() -> None:
    # RFC 4475 3.1.1.5
    escaped = parse(wire("RE%47IST%45R sip:r.example.com SIP/2.0\nC%6Fntact: <sip:a@b>\n" + REST % "RE%47IST%45R"))

    assert isinstance(escaped, Message)
    assert escaped.method == "RE%47IST%45R"
    assert escaped.contact is None


def test_a_second_message_in_a_datagram_is_padding() -> None:
    # RFC 4475 3.1.1.8
    double = parse(wire("REGISTER sip:example.com SIP/2.0\n" + REST % "REGISTER" + "\nINVITE sip:joe SIP/2.0\n"))

    assert isinstance(double, Message)
    assert (double.method, double.body) == ("REGISTER", b"")


@pytest.mark.parametrize("line", ["SIP/2.0 100 ", "SIP/2.0 100", "SIP/2.0 200 = 2**3 * 5**2 но сто"])
def test_a_reason_may_be_empty_or_in_any_script(line: str) -> None:
    # RFC 4475 3.1.1.12, 3.1.1.13
    assert isinstance(parse(wire(line + "\n" + REST % "INVITE")), Message)


@pytest.mark.parametrize(
    "line",
    [
        "INVITE <sip:user@example.com> SIP/2.0",  # 3.1.2.7
        "INVITE sip:user@example.com; lr SIP/2.0",  # 3.1.2.8
        "INVITE  sip:user@example.com  SIP/2.0",  # 3.1.2.9
        "INVITE sip:remote-target@example.com SIP/2.0  ",  # 3.1.2.10
        "INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0",  # 3.1.2.11
        "INVITE nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0",  # 3.3.3
    ],
)
def test_a_request_line_with_a_nit_is_read_past(line: str) -> None:
    message = parse(wire(line + "\n" + REST % "INVITE"))

    assert isinstance(message, Message)
    assert message.method == "INVITE"
    assert message.request_uri == line.split(" ", 1)[1].rpartition(" SIP/2.0")[0].strip()


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ("Content-Length: -999", "sip: content-length"),  # 3.1.2.3
        ("Via: SIP/2.0/UDP 192.0.2.15;;,;,,", None),  # 3.1.2.1
        ('Contact: "Joe" <sip:joe@example.org>;;;;', None),
        ("Content-Length: 9999", None),  # 3.1.2.2
        ("Date: Fri, 01 Jan 2010 16:00:00 EST", None),  # 3.1.2.12
        ("Max-Forwards: 0", None),  # 3.3.11
        ("Call-ID: t.2\nCSeq: 59 INVITE\nTo: <sip:other@example.net>", None),  # 3.3.9: the first counts
    ],
)
def test_other_headers_are_refused_only_for_numbers_that_frame(extra: str, reason: str | None) -> None:
    message = parse(wire(f"INVITE sip:user@example.com SIP/2.0\n{extra}\n" + REST % "INVITE"))

    if reason:
        assert message == Malformed(reason, extra.partition(" ")[2])
    else:
        assert isinstance(message, Message)


# Files of RFC 4475 that are no message to a recorder; all others of the set must parse.
REFUSED = {
    "badvers": "sip: version",
    "bigcode": "sip: status",
    "insuf": "sip: no call-id",
    "ncl": "sip: content-length",
    "scalar02": "sip: cseq",
    "scalarlg": "sip: cseq",
    "test": "sip: start line",
}


def test_the_files_of_the_rfc_give_what_is_expected() -> None:
    files = sorted(FOLDER.glob("*.dat"))
    if not files:
        pytest.skip("the torture files are not beside this repository (shared/captures/extras/siptorture)")

    for path in files:
        name = path.stem.rpartition("__")[2]
        parsed = parse(path.read_bytes())
        if name in REFUSED:
            assert isinstance(parsed, Malformed), name
            assert parsed.reason == REFUSED[name], name
        else:
            assert isinstance(parsed, Message), (name, parsed)
            assert not isinstance(parsed.sdp(), Malformed), name
