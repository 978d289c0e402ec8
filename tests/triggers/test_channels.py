"""Channels, their calls and their pauses; and the stream that both protocols are cut from."""

from __future__ import annotations

from hypothesis import given
from hypothesis.strategies import binary, booleans, integers, lists, sampled_from, tuples

from vittne.appliance.triggers.channels import Channels
from vittne.appliance.triggers.lines import TOO_LONG, Lines
from vittne.appliance.triggers.model import CLOCK_TRUST_NS, clean, event_time, spoken


def test_too_many_channels_cost_the_longest_silent_one() -> None:
    channels = Channels("ami:x", limit=3)
    for number in range(3):
        channels.note(str(number))
    channels.note("0")

    channels.note("3")

    assert [channels.get(id) is not None for id in "0123"] == [True, False, True, True]
    assert (len(channels), channels.evicted) == (3, 1)


def test_a_call_that_joins_a_paused_one_is_named_with_it() -> None:
    channels = Channels("ami:x")
    agent, customer = channels.note("1", "1"), channels.note("2", "2")
    channels.learn(agent, "agent@pbx")
    channels.learn(customer, "customer@pbx")
    channels.pause(agent, "user", "", 7)
    assert channels.updates() == []

    channels.note("2", "1")

    (again,) = channels.updates()
    assert (again.call_ids, again.at_ns, again.external_id) == (("agent@pbx", "customer@pbx"), 7, "1")
    assert channels.updates() == []


def test_a_pause_said_again_still_names_a_leg_that_has_gone() -> None:
    channels = Channels("ami:x")
    agent = channels.note("1", "1")
    channels.learn(channels.note("2", "1"), "customer@pbx")
    channels.pause(agent, "user", "", 7)
    channels.updates()
    channels.forget("2")

    channels.learn(agent, "agent@pbx")

    (again,) = channels.updates()
    assert again.call_ids == ("agent@pbx", "customer@pbx")


def test_a_button_does_not_end_what_another_leg_is_paused_by() -> None:
    channels = Channels("ami:x")
    agent, customer = channels.note("1", "1"), channels.note("2", "1")
    channels.pause(customer, "mute", "", 7)

    assert channels.resume_all(agent, "user", "", 8) == []
    assert [event.external_id for event in channels.resume(customer, "mute", "", 9)] == ["2"]
    assert [event.external_id for event in channels.resume_all(agent, "user", "", 10)] == ["1"]


def test_a_resume_names_every_call_that_was_paused() -> None:
    channels = Channels("ami:x")
    agent = channels.note("1", "1")
    channels.learn(agent, "agent@pbx")
    channels.learn(channels.note("2", "1"), "customer@pbx")
    channels.pause(agent, "user", "", 7)

    channels.forget("2")
    (resume,) = channels.resume(agent, "user", "", 8)

    assert resume.call_ids == ("agent@pbx", "customer@pbx")


STEPS = lists(
    tuples(
        sampled_from(["note", "learn", "join", "pause", "resume", "forget", "hand over"]),
        integers(0, 6),
        integers(0, 6),
    ),
    max_size=60,
)


@given(steps=STEPS)
def test_whatever_happens_the_books_agree(steps: list[tuple[str, int, int]]) -> None:
    channels = Channels("ami:x", limit=5)

    for what, one, other in steps:
        if what == "forget":
            channels.forget(str(one))
            continue
        channel = channels.note(str(one), str(other) if what == "note" else "")
        match what:
            case "learn":
                channels.learn(channel, f"{other}@pbx" if other else "")
            case "join":
                channels.join(channel, str(other) if other else "")
            case "pause":
                channels.pause(channel, str(other), "", 0)
            case "resume":
                assert all(event.action == "resume" for event in channels.resume(channel, str(other), "", 0))
            case "hand over":
                channels.hand_over(channel, "1", "2")
        assert channels.legs(channel)[0] is channel
        assert all(event.action == "pause" for event in channels.updates())
    assert len(channels) <= 5
    for id in map(str, range(7)):
        channels.forget(id)
    kept = {name: value for name, value in vars(channels).items() if isinstance(value, dict) and value}
    assert kept == {}


@given(data=lists(binary(max_size=30) | sampled_from([b"\n", b"\r\n", b"x" * 9]), max_size=30), skip=integers(0, 20))
def test_lines_do_not_depend_on_how_they_come(data: list[bytes], skip: int) -> None:
    whole, in_pieces = Lines(8), Lines(8)
    for lines in (whole, in_pieces):
        lines.skip(skip)
    whole.push(b"".join(data))
    expected = list(iter(whole.line, None))

    found = []
    for piece in data:
        in_pieces.push(piece)
        found += list(iter(in_pieces.line, None))

    assert found == expected
    plain = b"".join(data)[skip:].split(b"\n")[:-1]
    assert found == [line.removesuffix(b"\r") if len(line) <= 8 else TOO_LONG for line in plain]


@given(said=integers(0, 2**62), arrived=integers(0, 2**62), is_said=booleans())
def test_a_clock_is_believed_when_it_is_near_ours(said: int, arrived: int, is_said: bool) -> None:
    when = event_time(said if is_said else None, arrived)

    assert abs(when - arrived) <= CLOCK_TRUST_NS
    assert when in (said, arrived)


def test_names_and_texts_are_bounded_and_printable() -> None:
    assert clean("x" * 257) == ""
    assert clean("a\u2028b") == ""
    assert len(spoken("word " * 1000)) <= 256
    assert spoken("order 4711-0815") == "order 4711-0815"
    assert spoken("4111-1111-1111-1111\x00") == "#"
