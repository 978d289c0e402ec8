"""Scorecards: the customer's questions, and what answers come to. Pure.

name = "sales call"

[[questions]]
key = "greeting"
text = "Did the agent say who he is?"
kind = "yes-no"        # or "0-5", or "text"
weight = 2.0
critical = true        # "no" makes the whole score 0
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from vittne.appliance.review.plans import WrongPlan, wrong
from vittne.appliance.store.errors import StoreError
from vittne.appliance.wordsconfig import Name, Section

NOT_APPLICABLE: Final = "na"
_MOST: Final = 5
_LONGEST: Final = 4000
_YES_NO: Final = {"yes": 1.0, "no": 0.0}


class WrongAnswer(StoreError):
    """An answer that the card does not take, or one that is missing."""


class Question(Section):
    """One question. weight: of a text it is 0, texts make no score."""

    key: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    text: str = Field(min_length=1, max_length=1000)
    kind: Literal["yes-no", "0-5", "text"] = "yes-no"
    weight: float = Field(default=1.0, ge=0, le=1000)
    critical: bool = False
    optional: bool = False

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.critical and self.kind == "text":
            raise ValueError("a text cannot be critical")
        return self


class Card(Section):
    """A scorecard."""

    name: Name
    questions: tuple[Question, ...] = Field(strict=False, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _keys_differ(self) -> Self:
        if len({one.key for one in self.questions}) < len(self.questions):
            raise ValueError("two questions have one key")
        return self


def read_card(said: Mapping[str, Any], where: str) -> Card:
    """Return a card that somebody wrote. Raises WrongPlan."""
    try:
        return Card.model_validate(dict(said))
    except ValidationError as error:
        raise WrongPlan(wrong(error), where[:100], "mend that; docs/review.md has an example") from error


def score_of(card: Card, answers: Mapping[str, str]) -> float | None:
    """Return 0 to 100, or None when no question that counts was answered. Raises WrongAnswer."""
    known = {one.key: one for one in card.questions}
    for key in answers:
        if key not in known:
            raise WrongAnswer("the card has no such question", key[:60], f"it has {', '.join(known)}"[:300])
    got, most, failed = 0.0, 0.0, False
    for one in card.questions:
        answer = answers.get(one.key)
        if answer is None:
            if not one.optional:
                raise WrongAnswer("this question is not answered", one.key, f'answer it, or "{NOT_APPLICABLE}"')
            continue
        value = value_of(one, answer)
        if value is not None:
            got += one.weight * value
            most += one.weight
            failed = failed or (one.critical and value == 0)
    if most == 0:
        return None
    return 0.0 if failed else round(100 * got / most, 2)


def value_of(question: Question, answer: str) -> float | None:
    """Return what an answer counts, 0 to 1; None for a text, and for what does not apply. Raises WrongAnswer."""
    if len(answer) > _LONGEST:
        raise WrongAnswer("the answer is too long", question.key, f"{_LONGEST} letters at most")
    if question.kind == "text" or answer == NOT_APPLICABLE:
        return None
    if question.kind == "yes-no":
        if answer not in _YES_NO:
            raise WrongAnswer(f"{answer[:40]!r} is no answer", question.key, "yes, no or na")
        return _YES_NO[answer]
    if not (answer.isascii() and answer.isdigit() and int(answer) <= _MOST):
        raise WrongAnswer(f"{answer[:40]!r} is no answer", question.key, f"0 to {_MOST}, or na")
    return int(answer) / _MOST
