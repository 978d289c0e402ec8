"""Answers as somebody may see them: each member of an answer's model says which class of fields it belongs to.

    class Shown(ApiModel):
        id: str                                  # seen by whoever sees the recording at all
        caller: Annotated[str, Of("party")]      # full, masked, or not there

A model is all that an answer is made of, so what is not annotated was meant to be seen by everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vittne.appliance.access.masking import mask
from vittne.appliance.access.profile import FieldClass, Level


@dataclass(frozen=True, slots=True)
class Of:
    """Which class a member belongs to."""

    field: FieldClass


def field_class(info: FieldInfo) -> FieldClass | None:
    """Return the class of a model's member; None for one that everybody sees."""
    return next((one.field for one in info.metadata if isinstance(one, Of)), None)


def shown(value: BaseModel, levels: Mapping[FieldClass, Level]) -> dict[str, Any]:
    """Return a model as JSON holds it, with what is hidden taken out and what is masked covered."""
    found: dict[str, Any] = {}
    for name, info in type(value).model_fields.items():
        one = getattr(value, name)
        field = field_class(info)
        level = levels[field] if field is not None else "full"
        if level == "full":
            found[name] = _whole(one, levels)
        elif level == "masked" and _is_text(one):
            found[name] = _covered(one)
    return found


def _whole(value: Any, levels: Mapping[FieldClass, Level]) -> Any:
    match value:
        case BaseModel():
            return shown(value, levels)
        case dict():
            return {name: _whole(one, levels) for name, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_whole(one, levels) for one in value]
        case _:
            return value


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str) or (isinstance(value, (list, tuple)) and all(map(_is_text, value)))


def _covered(value: Any) -> Any:
    match value:
        case str():
            return mask(value)
        case list() | tuple():
            return [_covered(one) for one in value]
        case _:
            return value
