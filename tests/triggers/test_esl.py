"""What FreeSWITCH says becomes triggers.

Neither FreeSWITCH nor Asterisk is in Debian 12, so no PBX speaks here: transcripts do, written after the
servers' documentation and source (transcripts/ says which), and in test_links.py small servers of our own.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import binary, dictionaries, integers, lists, sampled_from, text
from triggers.written import SECOND, SECRET, START, esl_bytes, esl_event, esl_settings

from vittne.appliance.triggers.esl import MAX_BODY, MAX_HEADERS, MAX_LINE, MAX_SKIP, EslParser, EslSession
from vittne.appliance.triggers.esl_follower import EVENTS, EslFollower
from vittne.appliance.triggers.link import LinkLost, LinkRefused
from vittne.appliance.triggers.model import TriggerEvent
from vittne.appliance.triggers.settings import EslSettings

A, B = "327f11dd-17f3-476a-8ed0-45613c1342b8", "b8f0a2a4-4d0e-4f5e-9f5c-0b2f0e0c7a55"
CALL_A, CALL_B, PAY = "41d2@10.0.0.21", "b8f0-77c1@10.0.0.6", "feed-pay@10.0.0.6"
PAYING = esl_settings(payment_destinations=["8500"], resume_on_leave=True)
TRANSCRIPTS = ("esl_mask", "esl_payment")


def follow(settings: EslSettings, pieces: Iterable[bytes], at_ns: int = START) -> tuple[list[TriggerEvent], bytes]:
    session = EslSession(settings, SECRET, EslFollower(settings))
    triggers, answers = [], b""
    for piece in pieces:
        said = session.feed(piece, at_ns)
        triggers += said.triggers
        answers += said.answer
    return triggers, answers


def api(command: str, argument: str) -> dict[str, str]:
    return {"event-name": "API", "api-command": command, "api-command-argument": argument}


def test_masking_a_recording_pauses_by_command_and_by_dialplan() -> None:
    arrived = START + 31 * SECOND

    triggers, _ = follow(esl_settings(), [esl_bytes("esl_mask")], arrived)

    masked, unmasked, *by_dialplan = triggers
    assert masked == TriggerEvent(
        "pause", {"sip_call_id": CALL_A}, (CALL_B,), "esl:fs", "uuid_record mask", START + 30_500_000_000, A
    )
    assert (unmasked.action, unmasked.select, unmasked.also) == ("resume", masked.select, masked.also)
    assert [(event.action, event.select, event.external_id) for event in by_dialplan] == [
        ("pause", {"sip_call_id": CALL_B}, B),
        ("resume", {"sip_call_id": CALL_B}, B),
    ]


def test_events_by_name_and_a_payment_line() -> None:
    triggers, _ = follow(PAYING, [esl_bytes("esl_payment")])

    assert [(event.action, event.reason) for event in triggers] == [
        ("pause", "vittne::pause: card on the phone"),
        ("resume", "vittne::resume"),
        ("pause", "payment destination 8500"),
        ("pause", "payment destination 8500"),  # the leg to the payment line has a Call-ID now
        ("resume", "left payment destination 8500"),
    ]
    assert {tuple(event.select.items()) for event in triggers} == {(("sip_call_id", CALL_A),)}
    assert triggers[-1].also == (PAY,)


@given(name=sampled_from(TRANSCRIPTS), cuts=lists(integers(0, 20_000), max_size=40))
def test_cutting_the_stream_anywhere_changes_nothing(name: str, cuts: list[int]) -> None:
    whole = esl_bytes(name)
    edges = [0, *sorted(cuts), len(whole)]

    assert follow(PAYING, [whole[a:b] for a, b in pairwise(edges)]) == follow(PAYING, [whole])


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_byte_by_byte_is_the_same(name: str) -> None:
    whole = esl_bytes(name)
    in_bytes, at_once = EslParser(), EslParser()

    messages = [message for at in range(len(whole)) for message in in_bytes.feed(whole[at : at + 1])]

    assert messages == at_once.feed(whole)
    assert not at_once.malformed


PIECES = [
    b"\n",
    b"\n\n",
    b"Content-Length: 5\n",
    b"Content-Length: -1\n",
    b"Content-Type: text/event-plain\n",
    b"Event-Name: API\n",
]


@given(data=lists(binary(max_size=200) | sampled_from(PIECES)))
def test_garbage_is_counted_and_never_raises(data: list[bytes]) -> None:
    in_pieces, at_once = EslParser(), EslParser()

    messages = [message for piece in data for message in in_pieces.feed(piece)]

    assert messages == at_once.feed(b"".join(data))
    assert in_pieces.malformed == at_once.malformed


NAMES = sampled_from(["unique-id", "bridge-a-unique-id", "api-command", "application", "other-leg-unique-id", "callid"])
WORDS = text(max_size=20) | sampled_from([A, B, "uuid_record", f"{A} mask /x", f"{B} unmask /x", "8500", "bridge"])


@given(
    events=lists(dictionaries(NAMES, WORDS), max_size=20), names=lists(sampled_from([*EVENTS, "CUSTOM"]), min_size=20)
)
def test_any_order_of_events_gives_triggers_or_nothing(events: list[dict[str, str]], names: list[str]) -> None:
    follower = EslFollower(PAYING)

    for name, event in zip(names, events, strict=False):
        argued = {**event, "event-name": name, "api-command-argument": event.get("application", "")}
        for trigger in follower.feed(argued, START, event.get("callid", "")):
            assert len(trigger.select) == 1
        for id, _ in follower.asks():
            assert id.replace("-", "").isalnum()


def test_what_is_too_large_is_left_out_and_counted() -> None:
    parser = EslParser()
    large = f"Content-Length: {MAX_BODY + 1}\n\n".encode() + b"x" * (MAX_BODY + 1)
    many = b"".join(b"H%d: x\n" % n for n in range(MAX_HEADERS + 3)) + b"\n"
    long = b"L: " + b"x" * MAX_LINE + b"\nA: 1\n\n"

    first, second = parser.feed(large + many + long)

    assert len(first.headers) == MAX_HEADERS
    assert second.headers == {"a": "1"}
    assert parser.malformed == {"body too large": 1, "too many headers": 3, "line too long": 1}


@pytest.mark.parametrize("length", ["-1", "ten", "9" * 5000, str(MAX_SKIP + 1)])
def test_a_length_nobody_can_mean_ends_the_connection(length: str) -> None:
    session = EslSession(esl_settings(), SECRET, EslFollower(esl_settings()))

    with pytest.raises(LinkLost, match="cannot be followed"):
        session.feed(f"Content-Length: {length}\n\n".encode(), START)


def test_a_channel_known_only_by_a_command_is_asked_for() -> None:
    follower = EslFollower(esl_settings())

    (pause,) = follower.feed(api("uuid_record", f"{A} mask /rec/a.wav"), START)
    assert (pause.select, pause.external_id) == ({"channel": A}, A)
    assert follower.asks() == [(A, "sip_call_id"), (A, "signal_bond")]

    job = {"event-name": "BACKGROUND_JOB", "job-command": "uuid_getvar"}
    (again,) = follower.feed({**job, "job-command-arg": f"{A} sip_call_id"}, START, CALL_A)
    assert again.select == {"sip_call_id": CALL_A}
    assert follower.feed({**job, "job-command-arg": f"{A} signal_bond"}, START, B) == []
    assert follower.asks() == [(B, "sip_call_id"), (B, "signal_bond")]
    (again,) = follower.feed({**job, "job-command-arg": f"{B} sip_call_id"}, START, CALL_B)
    assert again.call_ids == (CALL_A, CALL_B)
    assert follower.feed({**job, "job-command-arg": f"{B} sip_call_id"}, START, "_undef_") == []


def test_every_recording_of_a_channel_must_be_heard_again() -> None:
    follower = EslFollower(esl_settings())

    def record(word: str, file: str) -> list[str]:
        return [event.action for event in follower.feed(api("uuid_record", f"{A} {word} {file}"), START)]

    assert [record("mask", "/a"), record("pause", "/b")] == [["pause"], ["pause"]]
    assert [record("unmask", "/a"), record("resume", "/b")] == [[], ["resume"]]
    assert [record("start", "/a"), record("stop", "/a"), record("mask", "")] == [[], [], []]


def test_a_transfer_of_the_other_leg_pauses_that_one() -> None:
    follower = EslFollower(PAYING)
    bridged = {"event-name": "CHANNEL_BRIDGE", "bridge-a-unique-id": A, "bridge-b-unique-id": B, "unique-id": A}
    follower.feed(bridged, START)

    (pause,) = follower.feed(api("uuid_transfer", f"{A} -bleg 8500 XML default"), START)
    (resume,) = follower.feed(api("uuid_transfer", f"{B} 201"), START)

    assert (pause.action, pause.external_id) == ("pause", B)
    assert (resume.action, resume.external_id) == ("resume", B)


def test_a_channel_that_changes_its_name_keeps_its_pause() -> None:
    follower = EslFollower(esl_settings())
    follower.feed({"event-name": "CHANNEL_CREATE", "unique-id": A, "variable_sip_call_id": CALL_A}, START)
    follower.feed(api("uuid_record", f"{A} mask /a"), START)

    follower.feed({"event-name": "CHANNEL_UUID", "unique-id": B, "old-unique-id": A}, START)
    (resume,) = follower.feed(api("uuid_record", f"{B} unmask /a"), START)

    assert (resume.action, resume.external_id, resume.select) == ("resume", A, {"sip_call_id": CALL_A})


def test_it_logs_in_and_asks_for_what_it_follows_and_no_digits() -> None:
    _, answers = follow(esl_settings(), [esl_bytes("esl_mask")])

    auth, subscription = answers.decode().split("\n\n")[:2]
    assert auth == f"auth {SECRET}"
    assert subscription == f"event plain {' '.join(EVENTS)} CUSTOM vittne::pause vittne::resume"
    assert "DTMF" not in EVENTS


def test_a_user_of_the_directory_logs_in_by_name() -> None:
    _, answers = follow(esl_settings(user="vittne@pbx"), [b"Content-Type: auth/request\n\n"])

    assert answers == f"userauth vittne@pbx:{SECRET}\n\n".encode()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"Content-Type: command/reply\nReply-Text: -ERR invalid\n\n", LinkRefused),
        (b"Content-Type: text/rude-rejection\nContent-Length: 5\n\nAway\n", LinkRefused),
        (b"Content-Type: text/disconnect-notice\nContent-Length: 4\n\nBye\n", LinkLost),
    ],
)
def test_a_refusal_is_told(said: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        follow(esl_settings(), [b"Content-Type: auth/request\n\n" + said])

    assert SECRET not in str(raised.value)


def test_an_event_s_own_body_is_cut_by_its_own_length() -> None:
    (message,) = EslParser().feed(esl_event("Event-Name: BACKGROUND_JOB\nContent-Length: 4\n\nbodyand more"))

    assert message.event is not None
    assert message.text == "body"
