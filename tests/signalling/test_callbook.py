"""Calls from messages: links, the table of expected media, and what hostile signalling costs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from vittne.capture.addresses import AddressBook
from vittne.capture.callbook import CallBook
from vittne.capture.columns import SECOND
from vittne.capture.errors import Malformed
from vittne.capture.media import ENTRIES_AT_ONE_PORT
from vittne.capture.sip.message import Message, parse
from vittne.capture.sip.stream import Heard

START = 1_767_225_600 * SECOND
HOSTS = {"10.0.0.1": 0x0A000001, "10.0.0.2": 0x0A000002, "10.0.0.3": 0x0A000003, "203.0.113.9": 0xCB007109}


def message(start: str, call_id: str, to_tag: str, cseq: str, body: str = "", headers: tuple[str, ...] = ()) -> Message:
    lines = [
        start,
        "Via: SIP/2.0/UDP x;branch=z9hG4bK1",
        "From: <sip:1001@x>;tag=a",
        "To: <sip:1002@x>" + (f";tag={to_tag}" if to_tag else ""),
        f"Call-ID: {call_id}",
        f"CSeq: {cseq}",
        *headers,
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    found = parse(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
    assert isinstance(found, Message)
    return found


def sdp(host: str, *ports: int) -> str:
    lines = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
    return "\r\n".join([*lines, *(f"m=audio {port} RTP/AVP 0" for port in ports), ""])


class Mirror:
    """A book that hears calls."""

    def __init__(self) -> None:
        self.book = CallBook(AddressBook(), 7 * SECOND)
        self.now = 0

    def hear(self, what: Message | Malformed, src: str = "10.0.0.1", dst: str = "10.0.0.2") -> None:
        self.now += SECOND // 1000
        self.book.feed(Heard(HOSTS[src], 5060, HOSTS[dst], 5060, START + self.now, self.now, "udp", what, False))

    def invite(self, call_id: str, body: str, src: str = "10.0.0.1", dst: str = "10.0.0.2") -> None:
        self.hear(message("INVITE sip:1002@x SIP/2.0", call_id, "", "1 INVITE", body), src, dst)

    def answer(self, call_id: str, body: str, src: str = "10.0.0.2", dst: str = "10.0.0.1") -> None:
        self.hear(message("SIP/2.0 200 OK", call_id, "b", "1 INVITE", body), src, dst)

    def expected_at(self, host: str, port: int) -> list[str]:
        return [e.session.call_id for e in self.book.table.at((HOSTS[host], port)) if e.covers(self.now) == 2]


def test_both_ends_are_expected_once_offer_and_answer_are_heard() -> None:
    mirror = Mirror()

    mirror.invite("one", sdp("10.0.0.1", 4000))
    mirror.answer("one", sdp("10.0.0.2", 5000))

    assert mirror.expected_at("10.0.0.1", 4000) == ["one"]
    assert mirror.expected_at("10.0.0.2", 5000) == ["one"]


def test_a_refused_offer_brings_back_what_was_before() -> None:
    mirror = Mirror()
    mirror.invite("one", sdp("10.0.0.1", 4000))
    mirror.answer("one", sdp("10.0.0.2", 5000))

    mirror.hear(message("INVITE sip:1002@x SIP/2.0", "one", "b", "2 INVITE", sdp("10.0.0.1", 4100)))
    both = mirror.expected_at("10.0.0.1", 4000), mirror.expected_at("10.0.0.1", 4100)
    mirror.hear(message("SIP/2.0 488 No", "one", "b", "2 INVITE"), "10.0.0.2", "10.0.0.1")
    mirror.now += 1

    assert both == (["one"], ["one"])
    assert (mirror.expected_at("10.0.0.1", 4000), mirror.expected_at("10.0.0.1", 4100)) == (["one"], [])


def test_who_names_somebodys_port_a_thousand_times_does_not_push_its_owner_out() -> None:
    mirror = Mirror()
    mirror.invite("owner", sdp("10.0.0.1", 4000))
    mirror.answer("owner", sdp("10.0.0.2", 5000))

    for i in range(1000):
        mirror.invite(f"thief-{i}", sdp("10.0.0.1", 4000), "203.0.113.9", "10.0.0.3")

    assert "owner" in mirror.expected_at("10.0.0.1", 4000)
    assert len(mirror.book.table.at((HOSTS["10.0.0.1"], 4000))) <= ENTRIES_AT_ONE_PORT


def test_answered_thieves_do_not_either() -> None:
    mirror = Mirror()
    mirror.invite("owner", sdp("10.0.0.1", 4000))
    mirror.answer("owner", sdp("10.0.0.2", 5000))

    for i in range(200):
        mirror.invite(f"thief-{i}", sdp("10.0.0.1", 4000), "203.0.113.9", "10.0.0.3")
        mirror.answer(f"thief-{i}", sdp("10.0.0.3", 5000), "10.0.0.3", "203.0.113.9")

    assert "owner" in mirror.expected_at("10.0.0.1", 4000)


def test_a_description_of_thousands_of_media_costs_a_few_entries() -> None:
    mirror = Mirror()

    for cseq in range(1, 40):
        body = sdp("10.0.0.1", *range(10_000 + 100 * cseq, 10_100 + 100 * cseq))
        mirror.hear(message("INVITE sip:1002@x SIP/2.0", "one", "b" if cseq > 1 else "", f"{cseq} INVITE", body))

    assert len(mirror.book.table) <= 256
    assert mirror.book.tracker.counters["sdp too many media in a call"] > 0


def test_a_flood_of_attempts_is_forgotten_again() -> None:
    mirror = Mirror()
    mirror.book.tracker._pending_limit = 500
    mirror.invite("owner", sdp("10.0.0.1", 4000))
    mirror.answer("owner", sdp("10.0.0.2", 5000))

    for i in range(3000):
        mirror.invite(f"flood-{i}", sdp("203.0.113.9", 1024 + i), "203.0.113.9", "10.0.0.2")
    during = len(mirror.book.calls) - len(mirror.book.unanswered)
    while mirror.book.unanswered:
        call = mirror.book.unanswered.popleft()
        call.closed = True
        mirror.book.drop(call)
    mirror.book.expire(mirror.now + 700 * SECOND)
    while mirror.book.unanswered:
        mirror.book.drop(mirror.book.unanswered.popleft())
    mirror.book.expire(mirror.now + 1400 * SECOND)

    assert during <= 501
    assert len(mirror.book.tracker) == len(mirror.book.calls) == 1
    assert len(mirror.book.table) == 2
    sizes = [len(v) for v in vars(mirror.book.links).values() if isinstance(v, dict)]
    assert max(sizes) <= 3


def test_sessions_that_all_bear_one_session_id_do_not_become_one_endless_call() -> None:
    mirror = Mirror()
    same = ("Session-ID: ab30317f1a784dc48ff824d0d3715d86",)

    for i in range(200):
        mirror.hear(message("INVITE sip:1002@x SIP/2.0", f"leg-{i}", "", "1 INVITE", headers=same))

    assert max(len(call.sessions) for call in mirror.book.calls.values()) <= 32


def test_a_bogus_leg_changes_neither_when_a_call_ended_nor_for_long_that_it_is_over() -> None:
    mirror = Mirror()
    mirror.invite("owner-1", sdp("10.0.0.1", 4000))
    mirror.answer("owner-1", sdp("10.0.0.2", 5000))
    bogus = message("INVITE sip:1002@x SIP/2.0", "bogus", "", "1 INVITE", headers=("X-Cid: owner-1",))
    mirror.hear(bogus, "203.0.113.9")

    mirror.hear(message("BYE sip:1002@x SIP/2.0", "owner-1", "b", "2 BYE"))
    ended = START + mirror.now
    mirror.book.expire(mirror.now + 601 * SECOND)

    (call,) = mirror.book.calls.values()
    assert len(call.sessions) == 2
    assert (call.is_live, call.ended_at) == (False, ended)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["INVITE", "200", "183", "488", "ACK", "BYE", "UPDATE", "REFER", "202"]),
            st.sampled_from(["one", "two", "three"]),
            st.sampled_from(["", "b", "c"]),
            st.integers(1, 3),
            st.sampled_from([(), (4000,), (4002,), (0,), (4000, 4002)]),
            st.sampled_from(
                [
                    (),
                    ("X-Cid: oneone",),
                    ("Session-ID: ab30317f1a784dc48ff824d0d3715d86",),
                    ("Replaces: one;to-tag=b;from-tag=a",),
                    ("Refer-To: <sip:1002@x?Replaces=two%3Bto-tag%3Db>",),
                ]
            ),
            st.permutations(list(HOSTS)),
        ),
        max_size=25,
    )
)
@settings(max_examples=150)
def test_signalling_in_any_order_keeps_calls_and_sessions_in_step(
    steps: list[tuple[str, str, str, int, tuple[int, ...], tuple[str, ...], list[str]]],
) -> None:
    mirror = Mirror()

    for what, call_id, tag, number, ports, headers, (src, dst, *_) in steps:
        method = {"488": "INVITE", "200": "INVITE", "183": "INVITE", "202": "REFER"}.get(what, what)
        start = f"SIP/2.0 {what} X" if what.isdigit() else f"{what} sip:1002@x SIP/2.0"
        body = sdp(src, *ports) if ports else ""
        mirror.hear(message(start, call_id, tag, f"{number} {method}", body, headers), src, dst)

        sessions = {session.call_id: session for session in mirror.book.tracker}
        for session in sessions.values():
            call = mirror.book.call_of(session)
            assert call is not None
            assert session in call.sessions
            assert mirror.book.calls[call.id] is call
            assert call.seat(session, 0) in (0, 1)
        for call in mirror.book.calls.values():
            assert {s.call_id for s in call.sessions} == set(call.seats)
    mirror.book.expire(mirror.now + 1000 * SECOND)
