"""An operation: something that changes what is kept, done by the one writer of a data directory (DESIGN 3).

It is a generator, so that one that takes long lets the recorder's event loop go on between its steps, and says how
far it is. Each step is short (some 20 ms) and leaves everything whole: nobody may come back after any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from vittne.appliance.control.caller import Caller

if TYPE_CHECKING:
    from vittne.appliance.registrar import Registrar

__all__ = ["Caller", "Do", "Operation", "Order", "Progress", "Steps", "done_by"]


class Order(BaseModel):
    """What is asked for; the base of every operation's own model."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an operation is. total: 0 while it is not known."""

    done: int
    total: int
    words: str = ""


Steps = Generator[Progress, None, dict[str, Any]]
Ordered = TypeVar("Ordered", bound=Order)


@dataclass(frozen=True, slots=True)
class Operation(Generic[Ordered]):
    """name: how it goes over the socket and into logs. words: complete "the data directory is in use by ...".

    is_brief: it takes a moment, and touches nothing that a long one does (users, roles, factors, the trail): it need
    not wait for the end of one, as long as each of its steps reads all that it goes by. is_note: it is brief, and does
    nothing but write a row of the trail: many at once share a sync.
    """

    name: str
    words: str
    order: type[Ordered]
    do: Callable[[Registrar, Ordered, Caller], Steps]
    is_brief: bool = False
    is_note: bool = False


Do = Callable[[Operation[Any], Order], Iterator[str]]  # does an operation; yields what its steps said


def done_by(registrar: Registrar, caller: Caller) -> Do:
    """Return what does operations on a registrar that the caller of this function has."""

    def do(operation: Operation[Any], order: Order) -> Iterator[str]:
        for progress in operation.do(registrar, order, caller):
            yield progress.words

    return do
