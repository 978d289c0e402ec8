"""Sessions from messages in any order, and their bounds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from vittne.capture.columns import SECOND
from vittne.capture.errors import Malformed
from vittne.capture.sip.message import Message, parse
from vittne.capture.sip.session import ANSWERED, CALLEE, CALLER, ENDED, FAILED, DialogAnswered, SessionEnded
from vittne.capture.sip.stream import Heard
from vittne.capture.sip.tracker import SessionTracker

START = 1_767_225_600 * SECOND
A, B = (0x0A000001, 5060), (0x0A000002, 5060)
SDP = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"


def sip(
    start: str,
    *,
    call_id: str = "one",
    from_tag: str = "a",
    to_tag: str = "",
    cseq: str = "1 INVITE",
    branch: str = "z9hG4bK1",
    body: str = "",
    headers: tuple[str, ...] = (),
) -> Message:
    lines = [
        start,
        f"Via: SIP/2.0/UDP x;branch={branch}",
        f"From: <sip:1001@x>;tag={from_tag}",
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


def invite(call_id: str = "one", **more: str) -> Message:
    return sip("INVITE sip:1002@x SIP/2.0", call_id=call_id, **more)  # type: ignore[arg-type]


def answer(call_id: str = "one", status: str = "200 OK", to_tag: str = "b", **more: str) -> Message:
    return sip(f"SIP/2.0 {status}", call_id=call_id, to_tag=to_tag, **more)  # type: ignore[arg-type]


def bye(call_id: str = "one", from_tag: str = "a", to_tag: str = "b") -> Message:
    return sip("BYE sip:1002@x SIP/2.0", call_id=call_id, from_tag=from_tag, to_tag=to_tag, cseq="2 BYE")


def heard(message: Message | Malformed, at: float = 0.0, *, back: bool = False) -> Heard:
    src, dst = (B, A) if back else (A, B)
    mono = round(at * SECOND)
    return Heard(*src, *dst, START + mono, mono, "udp", message, False)


def test_a_200_answers_and_a_bye_ends() -> None:
    tracker = SessionTracker()
    session, _ = tracker.feed(heard(invite()))
    assert session is not None

    _, answered = tracker.feed(heard(answer(), 2.0, back=True))
    _, ended = tracker.feed(heard(bye(), 5.0))

    assert [type(event) for event in answered] == [DialogAnswered]
    assert [type(event) for event in ended] == [SessionEnded]
    assert (session.state, session.end_reason) == (ENDED, "bye-caller")
    assert (session.answered_mono, session.ended_mono) == (2 * SECOND, 5 * SECOND)


def test_the_callees_bye_is_the_callees() -> None:
    tracker = SessionTracker()
    for one in (heard(invite()), heard(answer(), 1.0, back=True)):
        tracker.feed(one)

    session, _ = tracker.feed(heard(bye(from_tag="b", to_tag="a"), 2.0, back=True))

    assert session is not None
    assert session.end_reason == "bye-callee"


def test_an_ack_of_its_own_branch_says_that_a_200_was_there() -> None:
    tracker = SessionTracker()
    tracker.feed(heard(invite()))

    session, _ = tracker.feed(heard(sip("ACK sip:1002@x SIP/2.0", to_tag="b", cseq="1 ACK", branch="z9hG4bK2"), 1.0))

    assert session is not None
    assert session.state == ANSWERED


def test_the_ack_of_a_refusal_answers_nothing() -> None:
    tracker = SessionTracker()
    tracker.feed(heard(invite()))

    session, _ = tracker.feed(heard(sip("ACK sip:1002@x SIP/2.0", to_tag="b", cseq="1 ACK"), 1.0))

    assert session is not None
    assert not session.was_answered


def test_a_refused_call_may_be_tried_again() -> None:
    tracker = SessionTracker()
    session, _ = tracker.feed(heard(invite()))
    assert session is not None
    tracker.feed(heard(answer(status="407 Proxy Authentication Required"), 0.1, back=True))
    assert session.state == FAILED

    tracker.feed(heard(invite(cseq="2 INVITE"), 0.2))
    tracker.feed(heard(answer(cseq="2 INVITE"), 0.3, back=True))

    assert (session.state, session.final_status) == (ANSWERED, 0)


def test_a_bye_with_tags_of_no_dialog_ends_nothing() -> None:
    tracker = SessionTracker()
    tracker.feed(heard(invite()))
    tracker.feed(heard(answer(), 1.0, back=True))

    session, events = tracker.feed(heard(bye(from_tag="x", to_tag="y"), 2.0))

    assert session is not None
    assert (events, session.is_live) == ([], True)
    assert tracker.counters["sip BYE with tags of no dialog"] == 1


def test_a_bye_and_its_200_are_a_call_that_was_answered_unseen() -> None:
    tracker = SessionTracker()
    assert tracker.feed(heard(bye()))[0] is None

    session, events = tracker.feed(heard(answer(cseq="2 BYE"), 0.1, back=True))

    assert session is not None
    assert [type(event) for event in events] == [DialogAnswered, SessionEnded]
    assert session.joined_midway
    assert (session.answered_at, session.ended_at) == (START, START)


def test_a_bye_that_nobody_knows_is_no_call() -> None:
    tracker = SessionTracker()
    tracker.feed(heard(bye()))

    session, _ = tracker.feed(heard(answer(status="481 No Such Call", cseq="2 BYE"), 0.1, back=True))

    assert session is None
    assert len(tracker) == 0


def test_attempts_are_given_up_in_order_and_answered_calls_never() -> None:
    tracker = SessionTracker(pending_limit=100)
    tracker.feed(heard(invite("kept")))
    tracker.feed(heard(answer("kept"), 0.1, back=True))
    tracker.feed(heard(invite("ringing"), 0.2))

    for i in range(1000):
        tracker.feed(heard(invite(f"flood-{i}"), 1.0 + i / 100))

    assert len(tracker) == 101
    assert tracker.get("kept") is not None
    assert tracker.get("ringing") is None
    assert len(tracker.take_given_up()) == 901
    assert tracker.counters["sip attempt given up: too many at once"] == 901


def test_refused_attempts_leave_before_those_that_ring() -> None:
    tracker = SessionTracker(pending_limit=100)
    tracker.feed(heard(invite("ringing")))

    for i in range(300):
        tracker.feed(heard(invite(f"scan-{i}"), 1.0 + i / 100))
        tracker.feed(heard(answer(f"scan-{i}", "404 Not Found"), 1.001 + i / 100, back=True))

    assert tracker.get("ringing") is not None


def test_messages_of_attempts_are_bounded_in_bytes() -> None:
    tracker = SessionTracker(pending_bytes=100_000)

    for i in range(200):
        tracker.feed(heard(invite(f"big-{i}", body=SDP.format(port=4000) + "a=x:" + "y" * 5000), i / 100))

    assert 10 < len(tracker) < 25


def test_one_call_does_not_grow_without_end() -> None:
    tracker = SessionTracker()
    tracker.feed(heard(invite()))
    for i in range(1000):
        tracker.feed(heard(answer(status="183 Session Progress", to_tag=f"fork-{i}"), 0.1, back=True))
        tracker.feed(heard(sip("INVITE sip:x SIP/2.0", from_tag=f"t{i}", to_tag="b", cseq=f"{i} INVITE"), 0.2))
        tracker.feed(
            heard(sip("REFER sip:x SIP/2.0", to_tag="b", cseq=f"{i} REFER", headers=(f"Refer-To: <sip:{i}@x>",)))
        )
        tracker.feed(heard(sip("UPDATE sip:x SIP/2.0", to_tag="b", cseq="1 UPDATE", headers=(f"X-Cid: leg-{i:06d}",))))

    session = tracker.get("one")
    assert session is not None
    sizes = (session.dialogs, session.caller_tags, session.callee_tags, session.invites, session.refers, session.keys)
    assert max(map(len, sizes)) <= 66


METHODS = ["INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "PRACK", "REFER", "INFO", "NOTIFY", "OPTIONS", "FOO"]
TAGS = st.sampled_from(["", "a", "b", "c"])


@st.composite
def any_message(draw: st.DrawFn) -> Message:
    method = draw(st.sampled_from(METHODS))
    status = draw(st.sampled_from([0, 0, 100, 180, 183, 200, 202, 302, 401, 481, 486, 487, 491, 603]))
    body = SDP.format(port=draw(st.sampled_from([0, 4000, 4002]))) if draw(st.booleans()) else ""
    headers = draw(
        st.sampled_from(
            [
                (),
                ("Replaces: one;to-tag=b;from-tag=a",),
                ("Refer-To: <sip:1002@x?Replaces=one%3Bto-tag%3Db>",),
                ("Session-Expires: 90",),
                ("Session-Expires: \u0660\u0661",),
                ("Session-ID: ab30317f1a784dc48ff824d0d3715d86",),
            ]
        )
    )
    return sip(
        f"SIP/2.0 {status} X" if status else f"{method} sip:1002@x SIP/2.0",
        call_id=draw(st.sampled_from(["one", "two"])),
        from_tag=draw(TAGS),
        to_tag=draw(TAGS),
        cseq=f"{draw(st.integers(1, 3))} {method}",
        branch=draw(st.sampled_from(["z9hG4bK1", "z9hG4bK2"])),
        body=body,
        headers=headers,
    )


@given(st.lists(st.tuples(any_message(), st.booleans()), max_size=25))
@settings(max_examples=150)
def test_messages_in_any_order_leave_a_session_that_makes_sense(messages: list[tuple[Message, bool]]) -> None:
    tracker = SessionTracker()

    for number, (message, back) in enumerate(messages):
        session, events = tracker.feed(heard(message, number / 10, back=back))
        if session is None:
            assert events == []
            continue
        assert session.was_answered == any(d.answered_at for d in session.dialogs.values())
        assert bool(session.ended_at) == (not session.is_live)
        assert (session.state == ENDED) or not any(isinstance(event, SessionEnded) for event in events)
        assert {session.side_of(message)} <= {CALLER, CALLEE}
    for session in tracker.expire(10_000 * SECOND):
        assert not session.was_answered
        assert not session.is_live
