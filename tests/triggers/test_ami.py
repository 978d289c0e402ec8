"""What Asterisk says becomes triggers.

Neither Asterisk nor FreeSWITCH is in Debian 12, so no PBX speaks here: transcripts do, written after the
servers' documentation and source (transcripts/ says which), and in test_links.py small servers of our own.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers, lists, sampled_from
from triggers.written import SECOND, SECRET, START, ami_bytes, ami_settings, crlf

from vittne.appliance.triggers.ami import MAX_FIELDS, MAX_LINE, MAX_PACKET, AmiParser, AmiSession, login_key
from vittne.appliance.triggers.ami_follower import AmiFollower
from vittne.appliance.triggers.link import LinkRefused
from vittne.appliance.triggers.model import TriggerEvent
from vittne.appliance.triggers.settings import AmiSettings

TRUNK, AGENT, PAY = "c0ffee-trunk@198.51.100.7", "5d1e-201@10.0.0.5", "feed-pay@10.0.0.5"
PAYING = ami_settings(payment_destinations=["8500"], resume_on_leave=True)
TRANSCRIPTS = ("ami_mute", "ami_payment", "ami_user_event")


def follow(settings: AmiSettings, pieces: Iterable[bytes], at_ns: int = START) -> tuple[list[TriggerEvent], bytes]:
    """Return the triggers and what the session sends, with the PBX saying these pieces."""
    session = AmiSession(settings, SECRET, AmiFollower(settings))
    triggers, answers = [], b""
    for piece in pieces:
        said = session.feed(piece, at_ns)
        triggers += said.triggers
        answers += said.answer
    return triggers, answers


def told(follower: AmiFollower, text: str, at_ns: int = START) -> list[TriggerEvent]:
    return [event for packet in AmiParser().feed(crlf(text)) for event in follower.feed(packet, at_ns)]


def channel(name: str, id: str, link: str, prefix: str = "", **fields: str) -> str:
    given = {"Channel": name, "Uniqueid": id, "Linkedid": link, **fields}
    return "\n".join(f"{prefix}{field}: {value}" for field, value in given.items())


def test_a_pause_button_pauses_and_resumes_with_no_integration() -> None:
    arrived = START + 21 * SECOND

    triggers, _ = follow(ami_settings(), [ami_bytes("ami_mute")], arrived)

    pause, resume = triggers
    assert pause == TriggerEvent(
        "pause",
        {"sip_call_id": TRUNK},
        (AGENT,),
        "ami:pbx",
        "MixMonitorMute both",
        START + 20_500_000_000,  # the PBX's time
        "1764000000.30",
    )
    assert (resume.action, resume.select, resume.also) == ("resume", pause.select, pause.also)
    assert resume.external_id == pause.external_id
    assert resume.at_ns == arrived  # its clock is half a minute off, so it is not believed


def test_a_transfer_to_a_payment_line_pauses_until_that_hangs_up() -> None:
    triggers, _ = follow(PAYING, [ami_bytes("ami_payment")])

    pause, later_leg, resume = triggers
    assert (pause.action, pause.select, pause.also) == ("pause", {"sip_call_id": TRUNK}, (AGENT,))
    assert pause.reason == "payment destination 8500"
    assert (later_leg.action, later_leg.select, later_leg.also) == ("pause", {"sip_call_id": TRUNK}, (PAY, AGENT))
    assert (resume.action, resume.select) == ("resume", {"sip_call_id": TRUNK})
    assert {event.external_id for event in triggers} == {"1764000000.30"}


def test_leaving_a_payment_line_resumes_only_where_that_is_wished() -> None:
    settings = ami_settings(payment_destinations=["8500"])

    triggers, _ = follow(settings, [ami_bytes("ami_payment")])

    assert [event.action for event in triggers] == ["pause", "pause"]
    assert follow(ami_settings(), [ami_bytes("ami_payment")])[0] == []


def test_events_by_name_select_by_what_they_name() -> None:
    triggers, _ = follow(ami_settings(), [ami_bytes("ami_user_event")])

    assert [(event.action, event.select, event.external_id) for event in triggers] == [
        ("pause", {"sip_call_id": "41d2@10.0.0.21"}, "1764000000.50"),
        ("pause", {"agent": "a17"}, ""),
        ("resume", {"sip_call_id": "41d2@10.0.0.21"}, "1764000000.50"),
        ("resume", {"extension": "202"}, ""),
    ]
    assert triggers[0].reason == "VittnePause: payment #"  # no card number goes on from here


@given(name=sampled_from(TRANSCRIPTS), cuts=lists(integers(0, 20_000), max_size=40))
def test_cutting_the_stream_anywhere_changes_nothing(name: str, cuts: list[int]) -> None:
    whole = ami_bytes(name)
    edges = [0, *sorted(cuts), len(whole)]

    triggers, answers = follow(PAYING, [whole[a:b] for a, b in pairwise(edges)])

    # Asking one thing at a time, it asks sooner or later by how answers come together, never something else.
    expected, asked = follow(PAYING, [whole])
    assert triggers == expected
    assert set(asked.split(b"\r\n\r\n")) <= set(answers.split(b"\r\n\r\n"))


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_byte_by_byte_is_the_same(name: str) -> None:
    whole = ami_bytes(name)
    in_bytes, at_once = AmiParser(), AmiParser()

    packets = [packet for at in range(len(whole)) for packet in in_bytes.feed(whole[at : at + 1])]

    assert packets == at_once.feed(whole)
    assert not at_once.malformed


@given(data=lists(binary(max_size=200) | sampled_from([b"\r\n", b"\n\n", b"Event: MixMonitorMute\r\n", b": \r\n"])))
def test_garbage_is_counted_and_never_raises(data: list[bytes]) -> None:
    parser, follower = AmiParser(), AmiFollower(PAYING)

    packets = [packet for piece in data for packet in parser.feed(piece)]

    assert packets == AmiParser().feed(b"".join(data))
    for packet in packets:
        follower.feed(packet, START)


VALUES = sampled_from(["", "1", "0", "8500", "1.1", "1.2", "PJSIP/a-1", "success", "read", "VittnePause", "x" * 300])
FIELDS = ("uniqueid", "linkedid", "channel", "destuniqueid", "transfereeuniqueid", "state", "exten", "extension")
EVENTS = sampled_from([*AmiFollower(PAYING)._on, "nothing"])


@given(events=lists(lists(VALUES, min_size=9, max_size=9).flatmap(lambda row: EVENTS.map(lambda name: (name, row)))))
def test_any_order_of_events_gives_triggers_or_nothing(events: list[tuple[str, list[str]]]) -> None:
    follower = AmiFollower(PAYING)

    for name, row in events:
        packet = {"event": [name], "result": ["Success"], "userevent": [row[8]]}
        packet |= {field: [value] for field, value in zip(FIELDS, row, strict=False) if value}
        for trigger in follower.feed(packet, START):
            assert len(trigger.select) == 1
        for ask in follower.asks():
            assert ask["Action"] == "Getvar"


def test_what_is_too_large_is_left_out_and_counted() -> None:
    parser = AmiParser()
    fields = "".join(f"F{n}: x\r\n" for n in range(MAX_FIELDS + 5))
    long = b"G: " + b"x" * MAX_LINE + b"\r\n"
    large = (b"H: " + b"x" * (MAX_LINE - 10) + b"\r\n") * (MAX_PACKET // MAX_LINE + 3)

    many, one, heavy = parser.feed(f"{fields}\r\n".encode() + long + b"A: 1\r\n\r\n" + large + b"\r\nno field\r\n")

    assert len(many) == MAX_FIELDS
    assert one == {"a": ["1"]}
    assert sum(map(len, heavy["h"])) <= MAX_PACKET
    assert parser.malformed["line too long"] == 1
    assert parser.malformed["packet too large"] >= 5 + 2
    assert parser.malformed["no field"] == 1


def test_a_call_id_that_comes_later_names_the_call_again() -> None:
    follower = AmiFollower(ami_settings())
    told(follower, f"Event: Newchannel\n{channel('PJSIP/a-1', '1.1', '1.1')}")
    (ask,) = follower.asks()
    muted = channel("PJSIP/a-1", "1.1", "1.1", Direction="read", State="1")

    first = told(follower, f"Event: MixMonitorMute\n{muted}")
    again = told(follower, f"Response: Success\nActionID: {ask['ActionID']}\nVariable: x\nValue: abc@pbx")

    assert ask["Variable"] == "CHANNEL(pjsip,call-id)"
    assert [event.select for event in first] == [{"channel": "1.1"}]
    assert [(event.action, event.select) for event in again] == [("pause", {"sip_call_id": "abc@pbx"})]
    assert (again[0].at_ns, again[0].external_id) == (first[0].at_ns, "1.1")


def test_both_directions_must_be_heard_again_before_it_resumes() -> None:
    follower = AmiFollower(ami_settings())

    def mute(direction: str, state: str) -> list[str]:
        fields = channel("DAHDI/1-1", "1.1", "1.1", Direction=direction, State=state)
        return [event.action for event in told(follower, f"Event: MixMonitorMute\n{fields}")]

    assert [mute("read", "1"), mute("write", "1")] == [["pause"], ["pause"]]
    assert [mute("read", "0"), mute("write", "0")] == [[], ["resume"]]
    assert mute("both", "0") == ["resume"]  # its pause may have been before we were connected
    assert mute("both", "perhaps") == []


def test_one_cause_that_ends_leaves_the_other_in_force() -> None:
    follower = AmiFollower(ami_settings())
    here = channel("DAHDI/1-1", "1.1", "1.1")

    def actions(text: str) -> list[str]:
        return [event.action for event in told(follower, f"{text}\n{here}")]

    assert actions("Event: UserEvent\nUserEvent: VittnePause") == ["pause"]
    assert actions("Event: MixMonitorMute\nDirection: both\nState: 1") == ["pause"]
    assert actions("Event: UserEvent\nUserEvent: VittneResume") == []
    assert actions("Event: MixMonitorMute\nDirection: both\nState: 0") == ["resume"]


def test_somebody_on_another_leg_ends_the_pause_of_the_call() -> None:
    follower = AmiFollower(ami_settings())
    told(follower, f"Event: Newchannel\n{channel('DAHDI/1-1', '1.1', '1.1')}")
    told(follower, f"Event: Newchannel\n{channel('DAHDI/1-2', '1.2', '1.1')}")
    told(follower, f"Event: UserEvent\nUserEvent: VittnePause\n{channel('DAHDI/1-1', '1.1', '1.1')}")

    events = told(follower, f"Event: UserEvent\nUserEvent: VittneResume\n{channel('DAHDI/1-2', '1.2', '1.1')}")

    assert [(event.action, event.external_id) for event in events] == [("resume", "1.1")]


@pytest.mark.parametrize("is_payment_first", [False, True])
def test_an_attended_transfer_to_a_payment_line_pauses_whoever_stays_with_it(is_payment_first: bool) -> None:
    follower = AmiFollower(PAYING)
    customer, payment = ("TransferTarget", "Transferee") if is_payment_first else ("Transferee", "TransferTarget")
    fields = (
        channel("PJSIP/201-1", "1.2", "1.1", "OrigTransferer", ConnectedLineNum="8500"),
        channel("PJSIP/201-1", "1.2", "1.1", "SecondTransferer", ConnectedLineNum="8500"),  # by a feature code
        channel("PJSIP/trunk-1", "1.1", "1.1", customer, CallerIDNum="+4930777"),
        channel("PJSIP/pay-1", "1.4", "1.3", payment, CallerIDNum="8500"),
    )

    (pause,) = told(follower, "Event: AttendedTransfer\nResult: Success\n" + "\n".join(fields))
    (resume,) = told(follower, f"Event: BridgeLeave\n{channel('PJSIP/pay-1', '1.4', '1.3')}")

    assert (pause.action, pause.external_id) == ("pause", "1.1")
    assert (resume.action, resume.external_id) == ("resume", "1.1")


def test_a_dialplan_label_is_no_leaving_but_another_number_is() -> None:
    follower = AmiFollower(PAYING)

    def at(extension: str) -> list[str]:
        fields = channel("DAHDI/1-1", "1.1", "1.1", Extension=extension)
        return [event.action for event in told(follower, f"Event: Newexten\n{fields}")]

    assert [at("100"), at("8500"), at("8500"), at("s"), at("pay-menu"), at("201")] == [
        [],
        ["pause"],
        [],
        [],
        [],
        ["resume"],
    ]


def test_a_dial_that_is_not_answered_has_left() -> None:
    follower = AmiFollower(PAYING)
    both = f"{channel('DAHDI/1-1', '1.1', '1.1')}\n{channel('PJSIP/pay-1', '1.2', '1.1', 'Dest')}"

    began = told(follower, f"Event: DialBegin\n{both}\nDialString: sip:8500@10.0.0.9")
    ended = told(follower, f"Event: DialEnd\n{both}\nDialStatus: BUSY")

    assert [event.action for event in began + ended] == ["pause", "resume"]


def test_channels_change_places_and_are_asked_again() -> None:
    follower = AmiFollower(ami_settings())
    told(follower, f"Event: Newchannel\n{channel('PJSIP/a-1', '1.1', '1.1')}\nChanVariable: SIPCALLID=old@pbx")
    assert follower.asks() == []

    told(follower, "Event: Rename\nChannel: PJSIP/a-1\nNewname: PJSIP/b-2\nUniqueid: 1.1")

    assert [ask["Channel"] for ask in follower.asks()] == ["PJSIP/b-2"]


def test_older_versions_name_the_channel_in_the_field() -> None:
    follower = AmiFollower(ami_settings())
    name = "SIP/2001:db8::7-0000001"
    text = f"Event: MixMonitorMute\n{channel(name, '1.1', '1.1', State='1')}\nChanVariable({name}): SIPCALLID=old@pbx"

    (event,) = told(follower, text)

    assert event.select == {"sip_call_id": "old@pbx"}


def test_a_channel_is_forgotten_when_it_ends_and_with_a_lost_connection() -> None:
    follower = AmiFollower(ami_settings())
    one, other = channel("DAHDI/1-1", "1.1", "1.1"), channel("DAHDI/1-2", "1.2", "1.1")
    told(follower, f"Event: Newchannel\n{one}")
    told(follower, f"Event: Newchannel\n{other}")

    told(follower, f"Event: Hangup\n{one}")
    assert len(follower.channels) == 1
    follower.clear()

    assert len(follower.channels) == 0


def test_what_a_caller_is_called_cannot_end_a_line_of_ours() -> None:
    follower = AmiFollower(ami_settings())
    packet = {"event": ["Newchannel"], "channel": ["PJSIP/a\r\nAction: Originate"], "uniqueid": ["1.1\r\nx: y"]}

    assert follower.feed(packet, START) == []
    assert follower.asks() == []


def test_a_field_called_response_does_not_hide_an_event() -> None:
    follower = AmiFollower(ami_settings())

    events = told(follower, "Event: UserEvent\nUserEvent: VittnePause\nExtension: 201\nResponse: Success")

    assert [event.select for event in events] == [{"extension": "201"}]


def test_the_secret_is_never_sent_where_there_is_a_challenge() -> None:
    for tls in (False, True):
        _, answers = follow(ami_settings(tls=tls, plain_login=True), [ami_bytes("ami_mute")])

        assert SECRET.encode() not in answers
        assert f"Key: {login_key('911725589', SECRET)}".encode() in answers


NO_CHALLENGE = b"Asterisk Call Manager/1.0\r\n" + crlf("Response: Error\nActionID: vittne-challenge\nMessage: no")


def test_without_a_challenge_the_secret_is_sent_only_where_nobody_reads_along() -> None:
    with pytest.raises(LinkRefused, match="not sent readable"):
        follow(ami_settings(), [NO_CHALLENGE])

    for settings in (ami_settings(tls=True), ami_settings(plain_login=True)):
        _, answers = follow(settings, [NO_CHALLENGE])
        assert f"Secret: {SECRET}\r\n".encode() in answers


def test_a_call_pauses_whose_party_alone_is_meant() -> None:
    follower = AmiFollower(ami_settings())

    (event,) = told(follower, "Event: UserEvent\nUserEvent: VittnePause\nNumber: +4930777\nScope: Party")

    assert (event.select, event.scope) == ({"number": "+4930777"}, "party")
