"""What is laid down of an announcement: which sound, what hearing it means, where and when it counts.

A version is never altered: every change is a new version, and a verdict names the sound's hash that it was reached
with. Times within the sound are whole milliseconds, so that the text of the terms is canonical and its hash can stand
in the ledger.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from vittne.appliance.announcements.handle import Purpose, ReferenceHandle
from vittne.appliance.seal.canonical import canonical, parse
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import rfc3339

RATE: Final = 8000
SHORTEST_MS: Final = 1000  # of a reference: below it too much sounds alike
LONGEST_MS: Final = 120_000
SHORTEST_REQUIRED_MS: Final = 500
WITHIN_MS: Final = 10_000  # that a party has for a key, where nothing else is said
_NAME: Final = r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"
_DIGITS: Final = r"^[0-9*#A-D]{0,8}$"
# RFC 5646 section 2.1: language, script, region, variants, private use; extended languages and extensions left out
_LANGUAGE: Final = re.compile(
    r"^[a-z]{2,3}(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(-x(-[a-z0-9]{1,8})+)?$", re.I
)

Site = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
Stretch = Annotated[tuple[int, int], Field(strict=False)]  # from and to, ms; JSON has lists


class BadTerms(StoreError):
    """What was said of an announcement cannot be so, and why."""


class Terms(BaseModel):
    """A version of an announcement. Times *_us: UTC; required_ms: within the sound.

    from_us: counts from then on (None: ever since), until_us: no longer from then on. sites: where it is played;
    none: everywhere. file, file_sha256: what was enrolled, as it was uploaded; cut_ms: which part of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    v: Annotated[int, Field(ge=1, le=1)] = 1
    name: Annotated[str, StringConstraints(pattern=_NAME)]
    version: Annotated[int, Field(ge=1, le=1_000_000)]
    reference: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    length_ms: Annotated[int, Field(ge=SHORTEST_MS, le=LONGEST_MS)]
    purpose: Purpose
    language: str = ""
    required_ms: Annotated[list[Stretch], Field(max_length=64)] = []
    agree: Annotated[str, StringConstraints(pattern=_DIGITS)] = ""
    refuse: Annotated[str, StringConstraints(pattern=_DIGITS)] = ""
    within_ms: Annotated[int, Field(ge=0, le=120_000)] = 0
    sites: Annotated[list[Site], Field(max_length=1000)] = []
    from_us: int | None = None
    until_us: int | None = None
    note: Annotated[str, StringConstraints(max_length=2000)] = ""
    retired: bool = False
    file: Annotated[str, StringConstraints(max_length=255)] = ""
    file_sha256: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""
    cut_ms: Stretch = (0, 0)
    made_us: int
    made_by: Annotated[str, StringConstraints(max_length=200)]

    @field_validator("language")
    @classmethod
    def _is_language(cls, said: str) -> str:
        if said and not _LANGUAGE.fullmatch(said):
            raise ValueError("a language is written as in BCP 47: en, en-GB, zh-Hant, de-AT")
        return said

    @model_validator(mode="after")
    def _fits(self) -> Self:
        before = -1
        for begin, end in self.required_ms:
            if not before < begin < end <= self.length_ms:
                raise ValueError(f"required seconds lie in order within 0 to {self.length_ms / 1000:g}")
            if end - begin < SHORTEST_REQUIRED_MS:
                raise ValueError(f"a required stretch has {SHORTEST_REQUIRED_MS / 1000:g} s at least")
            before = end
        if self.purpose == "consent":
            if not self.agree or not self.within_ms:
                raise ValueError("a consent prompt has the digits that agree, and the seconds within which they count")
            if set(self.agree) & set(self.refuse):
                raise ValueError("a digit cannot both agree and refuse")
        elif self.agree or self.refuse or self.within_ms:
            raise ValueError("only a consent prompt has digits and seconds for them")
        if self.until_us is not None and self.until_us <= (self.from_us or 0):
            raise ValueError("it would end before it begins")
        return self

    @property
    def body(self) -> bytes:
        """Canonical JSON: what is in the file beside the sound."""
        return canonical(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """SHA-256 of the body, in hex: what the ledger says of this version."""
        return hashlib.sha256(self.body).hexdigest()

    def says_the_same(self, other: Terms) -> bool:
        """Say whether two versions differ in nothing but who made them, and when."""
        apart = {"version", "made_us", "made_by", "from_us"}
        return self.model_dump(exclude=apart) == other.model_dump(exclude=apart)

    def handle(self) -> ReferenceHandle:
        """Return what a worker is told."""
        return ReferenceHandle(
            self.reference,
            self.name,
            self.purpose,
            self.language,
            tuple((begin / 1000, end / 1000) for begin, end in self.required_ms),
            self.agree,
            self.refuse,
            self.within_ms / 1000,
            tuple(self.sites),
            self.version,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the version as `--json` shows it: seconds, and times as RFC 3339."""
        shown = self.model_dump(mode="json", exclude={"v"})
        for name in ("length", "within"):
            shown[f"{name}_s"] = shown.pop(f"{name}_ms") / 1000
        shown["required_s"] = [[begin / 1000, end / 1000] for begin, end in shown.pop("required_ms")]
        shown["cut_s"] = [at / 1000 for at in shown.pop("cut_ms")]
        for name in ("from", "until", "made"):
            at = shown.pop(f"{name}_us")
            shown[f"{name}_at"] = None if at is None else rfc3339(at)
        return shown


def make_terms(said: dict[str, Any]) -> Terms:
    """Return terms. Raises BadTerms."""
    try:
        return Terms.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(one) for one in first["loc"]) or "announcement"
        reason = first["msg"].removeprefix("Value error, ")
        raise BadTerms(
            f"this announcement cannot be: {reason}", place, "see `vittne announcement add --help`"
        ) from None


def read_terms(body: bytes) -> Terms:
    """Return the terms of a file. ValueError when they are none."""
    said = parse(body)
    terms = Terms.model_validate(said)
    if terms.body != body:
        raise ValueError("this is not how terms are written")
    return terms
