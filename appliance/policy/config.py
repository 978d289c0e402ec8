"""[[classes]], [[retention]] and [[basis]] of the configuration: what is decided when a recording is sealed.

[[classes]]
name = "sales-2y"
least = "30d"
greatest = "2y"

[[retention]]
name = "trading floor"
callers = ["2100..2199"]
class = "mifid-5y"

[[basis]]
name = "hotline"
tags = ["hotline"]
lawful_basis = "consent"
purpose = "training of agents"
proof = "consent"
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from vittne.appliance.policy.classes import PRESETS, UNLIMITED, RetentionClass, is_longer, read_age
from vittne.appliance.ruleconfig import Texts
from vittne.appliance.wordsconfig import Name, Section, Words
from vittne.capture.conditions import Condition

LawfulBasis = Literal[  # GDPR Art. 6(1) a to f
    "consent", "contract", "legal-obligation", "vital-interests", "public-task", "legitimate-interests"
]
Proof = Literal["consent", "announcement", "document", "none"]


def _age(text: str) -> str:
    read_age(text)
    return text


AgeText = Annotated[str, AfterValidator(_age)]


class ClassConfig(Section):
    """A class of one's own."""

    name: Name
    least: AgeText | None = None
    greatest: AgeText | None = None
    owner: str = Field(default="", max_length=128)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        made = self.made()
        if self.name in PRESETS:
            raise ValueError("there is a class of this name already; give yours another")
        if made.least is not None and made.greatest is not None and is_longer(made.least, made.greatest):
            raise ValueError("least is longer than greatest")
        if made.greatest is None and not self.owner:
            raise ValueError("a class without greatest keeps for ever: it needs an owner who answers for that")
        return self

    def made(self) -> RetentionClass:
        """Return the class."""
        least, greatest = (None if text is None else read_age(text) for text in (self.least, self.greatest))
        return RetentionClass(self.name, least, greatest, self.owner)


class LaterWords(Words):
    """Words of rules that are asked at sealing: they also know tags, and whether there was an announcement."""

    tags: Texts = ()
    announced: bool | None = None

    def condition(self, zone: str) -> Condition:
        """Return it as a condition on facts."""
        return replace(super().condition(zone), tags=self.tags, announced=self.announced)

    def told(self) -> str:
        """Return it in words."""
        words = [f"tags {', '.join(self.tags)}"] if self.tags else []
        if self.announced is not None:
            words.append("announced" if self.announced else "not announced")
        plain = super().told()
        return "; ".join([*([plain] if plain != "all calls" or not words else []), *words])


class RetentionConfig(LaterWords):
    """Which class a recording gets."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    name: Name
    class_: str = Field(alias="class")


class BasisConfig(LaterWords):
    """On what ground, and what for, calls are recorded. expires: so long after the call the ground holds."""

    name: Name
    lawful_basis: LawfulBasis
    purpose: str = Field(min_length=1, max_length=256)
    proof: Proof = "none"
    reference: str = Field(default="", max_length=256)
    expires: AgeText | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.lawful_basis == "consent" and self.proof == "none":
            raise ValueError("consent must be proven (GDPR Art. 7(1)): proof = consent, announcement or document")
        if (self.proof == "document") is not bool(self.reference):
            raise ValueError('proof = "document" names it as reference, and nothing else does')
        return self


def classes(configured: Sequence[ClassConfig]) -> dict[str, RetentionClass]:
    """Return all classes by name: presets, and those of the configuration."""
    return {**PRESETS, **{one.name: one.made() for one in configured}}


def check_classes(configured: Sequence[ClassConfig], rules: Sequence[RetentionConfig]) -> None:
    """Raise ValueError when a rule names a class that is none."""
    known: Final = classes(configured)
    for rule in rules:
        if rule.class_ == UNLIMITED and UNLIMITED not in known:
            raise ValueError('class "unlimited" needs an owner: [[classes]] name = "unlimited", owner = "..."')
        if rule.class_ not in known:
            raise ValueError(f"{rule.name}: there is no class {rule.class_[:60]!r}; classes are {', '.join(known)}")
