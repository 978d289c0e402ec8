"""What somebody sees and may do follows from their profiles, and from nothing else."""

from __future__ import annotations

from typing import Annotated

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from vittne.appliance.access.masking import mask
from vittne.appliance.access.principal import Hidden, Principal
from vittne.appliance.access.profile import BUILT_IN, FIELD_CLASSES, LEVELS, Only, Profile, RecordingFacts
from vittne.appliance.access.scopes import SCOPES
from vittne.appliance.access.showing import Of, shown

NOW = 1_800_000_000_000_000
DAY = 24 * 3600 * 1_000_000
FACTS = RecordingFacts("hq", ("+4930123456", "2041"), ("Anna",), ("vip",), NOW - DAY)


class Party(BaseModel):
    number: Annotated[str, Of("party")]
    seat: int


class Shown(BaseModel):
    id: str
    caller: Annotated[str, Of("party")]
    parties: tuple[Party, ...]
    tags: Annotated[tuple[str, ...], Of("business")]
    orders: Annotated[int, Of("business")]


SHOWN = Shown(id="r-1", caller="+4930123456", parties=(Party(number="2041", seat=1),), tags=("vip",), orders=4711)


def user(*profiles: Profile, own: tuple[str, ...] = (), sites: tuple[str, ...] = ()) -> Principal:
    return Principal("user", "u-1", "somebody", profiles, own, sites)


@pytest.mark.parametrize(
    ("only", "own", "fits"),
    [
        (Only(), (), True),
        (Only(sites=("hq",)), (), True),
        (Only(sites=("lab",)), (), False),
        (Only(numbers=("+4930*",)), (), True),
        (Only(numbers=("+4940*",)), (), False),
        (Only(agents=("anna",)), (), True),
        (Only(agents=("Bo",)), (), False),
        (Only(tags=("vip", "sale")), (), True),
        (Only(tags=("sale",)), (), False),
        (Only(days=2), (), True),
        (Only(days=1, sites=("lab",)), (), False),
        (Only(own=True), ("2041",), True),
        (Only(own=True), ("ANNA",), True),
        (Only(own=True), ("2042",), False),
        (Only(own=True), (), False),
    ],
)
def test_which_recordings_exist_for_somebody(only: Only, own: tuple[str, ...], fits: bool) -> None:
    profile = Profile(name="one", may=frozenset({"read"}), only=only)
    assert user(profile, own=own).sees(FACTS, NOW) is fits


def test_a_recording_of_another_site_exists_for_nobody_of_this_one() -> None:
    assert user(BUILT_IN["compliance"], sites=("hq",)).sees(FACTS, NOW)
    assert not user(BUILT_IN["compliance"], sites=("lab",)).sees(FACTS, NOW)


def test_a_role_gives_what_it_gives_only_of_its_own_recordings() -> None:
    hears = Profile(name="hears", may=frozenset({"read", "listen"}), only=Only(tags=("sale",)))
    sees = Profile(name="sees", may=frozenset({"read"}))
    both = user(hears, sees)

    assert both.may("listen")
    assert both.sees(FACTS, NOW)
    assert not both.may_of("listen", FACTS, NOW)


def test_members_are_full_masked_or_not_there() -> None:
    masked = Profile(name="one", may=frozenset({"read"}), fields={"party": "masked", "business": "masked"})
    levels = user(masked).levels(FACTS, NOW)

    assert shown(SHOWN, levels) == {
        "id": "r-1",
        "caller": "+•••••••456",
        "parties": [{"number": "•••1", "seat": 1}],
        "tags": ["v•••"],
    }
    assert shown(SHOWN, user(Profile(name="two", may=frozenset({"read"}))).levels(FACTS, NOW)) == {
        "id": "r-1",
        "parties": [{"seat": 1}],
    }
    assert shown(SHOWN, user(BUILT_IN["compliance"]).levels(FACTS, NOW)) == SHOWN.model_dump(mode="json")


@given(st.text(max_size=40))
@example("0²")
def test_nobody_reads_a_number_back_from_its_mask(value: str) -> None:
    digits = [letter for letter in value if letter.isdigit()]
    left = [letter for letter in mask(value) if letter.isdigit()]
    assert len(left) <= 3
    assert len(digits) < 2 or len(left) < len(digits)


@given(st.sampled_from(sorted(BUILT_IN)))
def test_built_in_roles_name_only_what_there_is(name: str) -> None:
    role = BUILT_IN[name]
    assert role.scopes <= SCOPES.keys()
    assert set(role.fields) <= set(FIELD_CLASSES)
    assert set(role.fields.values()) <= set(LEVELS)


def test_who_runs_the_recorder_hears_nothing() -> None:
    administrator = BUILT_IN["administrator"]
    assert not administrator.scopes & {"listen", "live", "export", "erase", "audit"}
    assert administrator.level("audio-caller") == administrator.level("audio-callee") == "none"


def test_a_reason_is_asked_for_unless_a_role_allows_it_without() -> None:
    auditor, compliance = BUILT_IN["auditor"], BUILT_IN["compliance"]
    assert user(auditor).needs_reason("listen", FACTS, NOW)
    assert not user(auditor, compliance).needs_reason("listen", FACTS, NOW)


def test_nobody_searches_by_what_they_may_not_see() -> None:
    with pytest.raises(Hidden):
        user(BUILT_IN["agent"]).refuse_hidden("party")
    with pytest.raises(Hidden):
        user(BUILT_IN["compliance"], BUILT_IN["agent"]).refuse_hidden("party")
    user(BUILT_IN["compliance"]).refuse_hidden("party")


def test_a_scope_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="there is no 'everything'"):
        Profile(name="one", may=frozenset({"everything"}))
