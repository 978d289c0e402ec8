"""Rules on announcements: which calls must be announced, by what, and what it means when one was not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ledgers
import pytest
from announced import ANOTHER, OTHER, RULE, SOUND, WELCOME, Archive, configured, enrol, heard, prompt, rec
from cuts import START_US
from scenarios import basic

from vittne.appliance.announcements.operations import CHANGE_ANNOUNCEMENT, ChangeAnnouncement
from vittne.appliance.config import ConfigErrors
from vittne.appliance.control.client import drain
from vittne.appliance.control.operation import Caller, Operation, Order
from vittne.appliance.life.operations import PLACE_HOLD, PlaceHold
from vittne.appliance.policy.decide import decide, policy_rules
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import rfc3339
from vittne.appliance.verdicts.judge import Verdict
from vittne.appliance.verdicts.table import VerdictTable

Vittne = Callable[..., tuple[int, str, str]]
CALL: dict[str, Any] = {
    "started_at": rfc3339(START_US),
    "answered_at": rfc3339(START_US),
    "ended_at": rfc3339(START_US + 60_000_000),
    "streams": [],
    "site": "hamburg",
    "tags": ["sales"],
    "details": {"facts": {"callers": ["+49301"], "callees": ["200"], "direction": "inbound"}},
}

HALF = prompt("partial", name="b")
ASKED = """
[[basis]]
name = "asked"
lawful_basis = "consent"
purpose = "training"
proof = "consent"
"""


def verdict(rules: str, *announcements: dict[str, Any], **said: Any) -> Verdict:
    found = decide({**CALL, "heard": heard(*announcements, **said)}, policy_rules(configured(rules))).verdict
    assert found is not None
    return found


def rule(**words: Any) -> str:
    lines = [f"{name} = {json.dumps(value)}" for name, value in {"name": "r", **words}.items()]
    return "\n".join(["[[announcement]]", *lines]) + "\n"


def do(archive: Archive, operation: Operation[Any], order: Order) -> dict[str, Any]:
    registrar = archive.registrar()
    try:
        return drain(operation.do(registrar, order, Caller("Ann")))
    finally:
        registrar.close()


@pytest.mark.parametrize(
    ("words", "announcements", "announced", "reason"),
    [
        ({}, [], "none", "not-heard"),
        ({}, [prompt()], "full", ""),
        ({}, [prompt("partial")], "partial", "cut-short"),
        ({}, [prompt(purpose="other")], "none", "not-heard"),
        ({}, [prompt(purpose="consent")], "full", ""),
        ({"within_s": 5.0}, [prompt(after_s=4.9)], "full", ""),
        ({"within_s": 5.0}, [prompt(after_s=5.1)], "none", "too-late"),
        ({"within_s": 5.0}, [prompt(after_s=-3.0)], "full", ""),
        ({"side": "callee"}, [prompt(party="caller")], "none", "wrong-side"),
        ({"side": "both"}, [prompt(party="caller")], "partial", "not-all"),
        ({"side": "both"}, [prompt(party="caller"), prompt(party="callee")], "full", ""),
        ({"prompts": ["notice-*"]}, [prompt(name="welcome-en")], "none", "other-prompt"),
        ({"prompts": ["notice-*", "wel*"]}, [prompt(name="welcome-en")], "full", ""),
        ({"prompts": ["a", "b"], "combine": "all"}, [prompt(name="a")], "partial", "not-all"),
        ({"prompts": ["a", "b"], "combine": "all"}, [prompt(name="a"), prompt(name="b")], "full", ""),
        ({"prompts": ["a", "b"], "combine": "all"}, [prompt(name="a"), HALF], "partial", "cut-short"),
        ({"prompts": ["a", "b"], "combine": "all"}, [], "none", "not-heard"),
        ({"languages": ["de*"]}, [prompt(language="en")], "none", "other-language"),
        ({"languages": ["de*"]}, [prompt(language="de-AT")], "full", ""),
        ({}, [prompt("partial", after_s=0.0), prompt(after_s=3.0)], "full", ""),
    ],
)  # fmt: skip
def test_the_verdict_is_that_of_the_nearest(
    words: dict[str, Any], announcements: list[dict[str, Any]], announced: str, reason: str
) -> None:
    found = verdict(rule(**words), *announcements)

    assert (found.announced, found.reason) == (announced, reason)
    assert found.proven is (announced == "full")
    assert bool(found.then) is (announced != "full")


def test_part_of_it_suffices_where_the_rule_says_so() -> None:
    found = verdict(rule(partial_suffices=True), prompt("partial"))

    assert (found.announced, found.proven, found.then) == ("partial", True, ())


def test_what_could_not_be_listened_to_has_consequences_of_its_own() -> None:
    rules = rule(otherwise=["discard"], not_listened=["alarm"])

    found = verdict(rules, why="codec")

    assert (found.announced, found.reason, found.then) == ("not-listened", "codec", ("alarm",))


def test_one_voice_that_was_not_listened_to_is_not_taken_for_silence() -> None:
    listened = [
        {"stream": 1, "party": "caller", "seconds": 30.0, "why": ""},
        {"stream": 2, "party": "callee", "seconds": 0.0, "why": "no key"},
    ]

    assert verdict(rule(), listened=listened).announced == "not-listened"
    assert verdict(rule(side="caller"), listened=listened).announced == "none"


@pytest.mark.parametrize("why", ["restarted", "too late", "paused, announcements changed", "restart, codec"])
def test_a_prompt_of_which_we_lost_some_is_not_one_that_was_cut_short(why: str) -> None:
    listened = [
        {"stream": 1, "party": "caller", "seconds": 30.0, "why": ""},
        {"stream": 2, "party": "callee", "seconds": 20.0, "why": why},
    ]
    rules = rule(otherwise=["discard"], not_listened=["quarantine"])

    found = verdict(rules, prompt("partial"), listened=listened)

    assert (found.announced, found.reason in why, found.then) == ("not-listened", True, ("quarantine",))
    assert verdict(rules, prompt("partial")).then == ("discard",)
    assert verdict(rules, prompt(), listened=listened).proven


@pytest.mark.parametrize("lacks", ["no announcement", "announcement missing"])
def test_what_nobody_listened_for_is_not_taken_for_not_played(lacks: str) -> None:
    """A sound file is gone, or the list could not be read: not every call is to be discarded for that."""
    rules = rule(otherwise=["discard"])

    found = verdict(rules, lacks=lacks)

    assert (found.announced, found.reason, found.then) == ("not-listened", lacks, ("flag",))
    assert verdict(rules, prompt(), lacks=lacks).proven


@pytest.mark.parametrize(
    ("seconds", "to_s", "announced"),
    [(30.0, 3.1, "not-listened"), (3.0, 3.1, "partial"), (30.0, 9.0, "partial")],
    ids=["we stopped listening", "the voice ended", "it was cut before"],
)
def test_a_prompt_that_outlasts_the_window_is_not_one_that_was_cut_short(
    seconds: float, to_s: float, announced: str
) -> None:
    to = rfc3339(START_US + round(to_s * 1e6))
    listened = [
        {"stream": 1, "party": "caller", "seconds": 30.0, "why": ""},
        {"stream": 2, "party": "callee", "seconds": seconds, "to": to, "why": ""},
    ]

    found = verdict(rule(otherwise=["discard"]), prompt("partial"), listened=listened)  # from second 1 to 3

    assert (found.announced, found.reason) == (announced, "cut-short" if announced == "partial" else "window-over")


@pytest.mark.parametrize("why", ["paused", "codec", "no key"])
def test_a_part_of_a_voice_that_was_not_heard_whole_says_nothing(why: str) -> None:
    assert verdict(rule(), prompt("partial"), why=why).reason == why


def test_a_no_counts_whatever_it_was_said_to(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", ASKED)
    registrar = archive.registrar()
    asks = enrol(registrar, "asks", "en", ANOTHER, purpose="consent", agree="1", refuse="2")
    elsewhere = enrol(registrar, "asks-berlin", "en", SOUND[:16_000], purpose="consent", agree="1", sites=["berlin"])
    registrar.close()

    answers = [
        [("agreed", asks, 1)],
        [("agreed", asks, 1), ("refused", OTHER, 2)],
        [("agreed", elsewhere, 1)],
    ]
    proven = []
    for number, said in enumerate(answers, 1):
        consent = [
            {"decision": decision, "at": rfc3339(START_US + s * 10**6), "reference": reference}
            for decision, reference, s in said
        ]
        proven.append(archive.close(number, heard(consent=consent)).basis["proven"])

    assert proven == [True, False, False]


GONE = {"reference": OTHER, "name": "night-de", "language": "de", "purpose": "notice"}


@pytest.mark.parametrize(
    ("words", "gone", "announced"),
    [
        ({}, {}, "not-listened"),
        ({"prompts": ["night-*"], "languages": ["de*"]}, {}, "not-listened"),
        ({"prompts": ["notice-*"]}, {}, "none"),
        ({"languages": ["en"]}, {}, "none"),
        ({}, {"purpose": "other"}, "none"),
        ({}, {"elsewhere": True}, "none"),
    ],
)
def test_a_reference_that_is_missing_could_have_been_what_the_rule_wants_or_not(
    words: dict[str, Any], gone: dict[str, Any], announced: str
) -> None:
    found = verdict(rule(**words), lacks="announcement missing", missing=[GONE | gone])

    assert found.announced == announced
    told = found.as_json().get("missing", [])
    assert told == ([{"reference": OTHER, "name": "night-de"}] if announced == "not-listened" else [])


def test_a_part_that_was_heard_may_have_been_of_the_reference_that_is_missing() -> None:
    found = verdict(rule(), HALF, lacks="announcement missing", missing=[GONE])

    assert (found.announced, found.reason) == ("not-listened", "announcement missing")
    assert verdict(rule(prompts=["b"]), HALF, lacks="announcement missing", missing=[GONE]).announced == "partial"


@pytest.mark.parametrize(
    ("side", "announced"), [("either", "not-listened"), ("callee", "none"), ("both", "not-listened")]
)
def test_who_is_not_in_the_mirror_may_have_played_it(side: str, announced: str) -> None:
    callee = [{"stream": 1, "party": "callee", "seconds": 30.0, "why": ""}]

    found = verdict(rule(side=side), listened=callee)

    assert (found.announced, found.reason) == (announced, "not-heard" if side == "callee" else "party-not-seen")
    assert verdict(rule(side="either"), prompt(), listened=callee).proven
    assert verdict(rule(side="caller"), listened=callee).reason == "no-voice"


def test_what_we_lost_of_one_voice_may_have_been_in_it_though_the_other_of_its_party_is_whole() -> None:
    listened = [
        {"stream": 1, "party": "callee", "seconds": 2.0, "why": "too late"},
        {"stream": 2, "party": "callee", "seconds": 30.0, "why": ""},
    ]

    assert verdict(rule(), listened=listened).announced == "not-listened"


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        ({"directions": ["inbound"]}, True),
        ({"directions": ["internal"]}, False),
        ({"callees": ["200..299"]}, True),
        ({"sites": ["berlin"]}, False),
        ({"tags": ["sales"]}, True),
        ({"tags": ["support"]}, False),
    ],
)
def test_the_first_rule_that_fits_says_what_is_wanted(words: dict[str, Any], fits: bool) -> None:
    found = verdict(rule(**words))

    assert found.expected is fits
    assert (found.announced == "none") is fits


def test_a_rule_may_say_that_nothing_is_wanted() -> None:
    found = verdict(rule(needed=False, directions=["inbound"]) + rule(name="all"))

    assert (found.announced, found.expected) == ("not-expected", False)


def test_a_call_that_nobody_answered_need_not_be_announced() -> None:
    report = {**CALL, "answered_at": None, "heard": heard()}

    found = decide(report, policy_rules(configured(rule()))).verdict

    assert found is not None
    assert (found.announced, found.expected) == ("not-expected", False)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"otherwise": ["discard", "quarantine"]}, "cannot lie in quarantine"),
        ({"combine": "all"}, "needs prompts"),
        ({"needed": False, "side": "caller"}, "leave out what"),
        ({"otherwise": ["shred"]}, "otherwise"),
        ({"name": "+49301234567"}, "no telephone number"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(words: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigErrors, match=told):
        configured(rule(**words))


BASIS = """
[[basis]]
name = "notice"
lawful_basis = "legitimate-interests"
purpose = "quality"
proof = "announcement"
"""


def test_what_was_heard_proves_the_ground(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE + BASIS)

    row = archive.close(1, heard(prompt()))

    assert row.basis["proven"]
    assert row.basis["proven_by"].startswith("heard welcome-en ")


@pytest.mark.parametrize(("said", "proven"), [(heard(), False), (heard(why="codec"), True)])
def test_what_was_listened_to_outranks_what_the_pbx_told(tmp_path: Path, said: dict[str, Any], proven: bool) -> None:
    archive = Archive(tmp_path / "data", RULE + BASIS)
    decisions = [{"decision": "announced", "trigger": "api", "by": "pbx", "at": rfc3339(START_US)}]

    row = archive.close(1, said, details={"recording_rule": {"rule": "", "decisions": decisions}})

    assert row.basis["proven"] is proven


@pytest.mark.parametrize(
    ("decisions", "proven"),
    [(["agreed"], True), (["agreed", "refused"], False), (["refused", "agreed"], True), ([], False)],
)
def test_a_key_after_the_consent_prompt_proves_consent_also_without_a_gate(
    tmp_path: Path, decisions: list[str], proven: bool
) -> None:
    ground = BASIS.replace("legitimate-interests", "consent").replace('proof = "announcement"', 'proof = "consent"')
    archive = Archive(tmp_path / "data", ground)
    registrar = archive.registrar()
    asks = enrol(registrar, "asks", "en", ANOTHER, purpose="consent", agree="1", refuse="2")
    registrar.close()
    said = [
        {"decision": decision, "at": rfc3339(START_US + n * 1_000_000), "reference": asks}
        for n, decision in enumerate(decisions)
    ]
    unknown = [{"decision": "agreed", "at": rfc3339(START_US + 3_000_000), "reference": OTHER}]

    row = archive.close(1, heard(consent=said))
    lie = archive.close(2, heard(consent=unknown))

    assert (row.basis["proven"], lie.basis["proven"]) == (proven, False)


def test_a_ground_without_its_notice_is_listed(vittne: Vittne, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE + BASIS)
    archive.close(1, heard())

    status, out, _ = vittne("lawful-basis", "--missing", "--data", archive.data)

    assert (status, "lacks notice" in out) == (1, True)


DISCARD = RULE + 'otherwise = ["discard"]\n'


def test_a_call_that_must_be_announced_and_was_not_is_never_kept(tmp_path: Path, vittne: Vittne) -> None:
    archive = Archive(tmp_path / "data", DISCARD)

    row = archive.close(1, heard())

    registrar = archive.registrar()
    keys = registrar.keys.parts(rec(1))
    registrar.close()
    assert (row.outcome, row.outcome_reasons, row.folder) == ("discarded-by-policy", ("not-announced",), "")
    assert not keys
    assert not list((archive.data / "recordings").glob("*/*/*/*"))
    assert "heard" not in row.details
    assert vittne("verify", "--all", "--data", archive.data)[0] == 0
    _, out, _ = vittne("ledger", "list", "--type", "rec.discard", "--data", archive.data)
    assert "not-announced" in out
    _, out, _ = vittne("announcement", "unannounced", "--json", "--data", archive.data)
    assert [(one["id"], one["kept"]) for one in json.loads(out)] == [(rec(1), False)]


def test_what_a_law_wants_kept_goes_into_quarantine_instead(tmp_path: Path) -> None:
    kept = '[[retention]]\nname = "trading"\nclass = "mifid-5y"\n'
    archive = Archive(tmp_path / "data", DISCARD + kept)

    row = archive.close(1, heard())

    assert row.folder
    assert row.quarantined_us is not None
    assert row.details["announcement"]["kept_by"] == "lock"


def test_a_standing_hold_keeps_it_as_well(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", DISCARD)
    search = {"number": "555", "unanswered": True}
    do(archive, PLACE_HOLD, PlaceHold(label="case 7", reason="court", search=search, standing=True))

    row = archive.close(1, heard())

    assert (row.quarantined_us is not None, row.details["announcement"]["kept_by"]) == (True, "legal-hold")


def test_what_a_gate_kept_out_counts_as_not_announced(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE + 'otherwise = ["quarantine", "alarm"]\n')
    registrar = archive.registrar()
    closed = archive.ended(registrar, 1, heard(), outcome="discarded-by-policy", outcome_reasons=["not-opened"])

    registrar.close_calls([replace(closed, keep=False)])
    registrar.close()

    row = archive.row(1)
    told = row.details["announcement"]
    assert (row.announced, row.folder, row.quarantined_us) == ("none", "", None)
    assert (told["expected"], told["proven"], told["then"]) == (True, False, ["alarm"])
    assert "heard" not in row.details


def test_rules_are_shown_and_tried(vittne: Vittne, tmp_path: Path) -> None:
    file = tmp_path / "vittne.toml"
    file.write_text(rule(name="outside", directions=["inbound"], within_s=8.0, prompts=["notice-*"], side="callee"))
    capture = basic.basic_call().write(tmp_path / "capture.pcap")

    _, shown, _ = vittne("rules", "--config", file)
    file.write_text(rule(name="every call"))
    _, tried, _ = vittne("rules", "--try", capture, "--config", file, "--json")

    assert "announcement outside: directions inbound: any of notice-*, on the callee side, within 8 s" in shown
    (call,) = [one for one in json.loads(tried) if one["what"] == "call"]
    assert (call["announcement_rule"], call["announcement_expected"]) == ("every call", True)


def test_what_is_played_at_another_site_proves_nothing_here(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", rule())
    registrar = archive.registrar()
    reference = enrol(registrar, "berlin", "de", ANOTHER, sites=["berlin"])
    registrar.close()

    here = archive.close(1, heard(prompt(reference=reference)), site="hamburg")
    there = archive.close(2, heard(prompt(reference=reference)), site="berlin")

    assert (here.announced, there.announced) == ("none", "full")
    with Catalogue(archive.data / "catalogue.db", read_only=True) as catalogue:
        listened = [VerdictTable(catalogue).of(rec(n))[0].references for n in (1, 2)]
    assert [reference in one for one in listened] == [False, True]


def test_what_a_prompt_will_be_later_says_nothing_of_a_call_before(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", rule())
    change = ChangeAnnouncement(name="welcome-en", changes={"purpose": "other", "from_us": START_US + 10**15})
    do(archive, CHANGE_ANNOUNCEMENT, change)

    assert archive.close(1, heard(prompt())).announced == "full"


def test_a_reference_that_the_worker_lacked_is_named_and_was_not_listened_for(vittne: Vittne, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", rule())
    said = heard(lacks="announcement missing", missing=[{**GONE, "reference": WELCOME, "name": "whatever"}])

    found = archive.close(1, said)

    told = found.details["announcement"]
    assert (found.announced, told["reason"]) == ("not-listened", "announcement missing")
    assert told["missing"] == [{"reference": WELCOME, "name": "welcome-en"}]
    (entry,) = [one for one in ledgers.entries(archive.data) if one["t"] == "verdict"]
    assert entry["missing"] == told["missing"]
    assert "listened" not in entry, "nothing else was enrolled"
    _, shown, _ = vittne("show", rec(1), "--data", archive.data)
    assert f"not listened for: welcome-en {WELCOME[:16]}" in shown


def test_the_enrolled_name_and_language_count_and_not_what_a_worker_says(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", rule(languages=["de"], prompts=["hinweis"]))
    registrar = archive.registrar()
    reference = enrol(registrar, "hinweis", "de", ANOTHER)
    registrar.close()

    right = archive.close(1, heard(prompt(name="whatever", reference=reference)))
    wrong = archive.close(2, heard(prompt(name="hinweis", language="de", reference=OTHER)))

    told = right.details["announcement"]
    assert (right.announced, told["name"], told["language"]) == ("full", "hinweis", "de")
    assert wrong.announced == "none"
