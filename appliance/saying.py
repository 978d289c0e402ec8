"""A sentence that is made here and read in some language: its English with places, and what stands in them.

Whoever shows it to people translates it (console/render.py); everybody else takes str() of it, which is English.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

One = Callable[[str], str]  # gettext
Several = Callable[[str, str, int], str]  # ngettext


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence. several: its plural, with `number` things; "": it has none. values: %(name)s in it.

    >>> str(said("%(share)s %% of %(what)s", share=98, what="them"))
    '98 % of them'
    """

    one: str
    several: str = ""
    number: int = 1
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return it in English."""
        return self.told(str, lambda one, several, number: one if number == 1 else several)

    def told(self, one: One, several: Several) -> str:
        """Return it as these translate it; a sentence among its values is translated too."""
        text = several(self.one, self.several, self.number) if self.several else one(self.one)
        values = {name: v.told(one, several) if isinstance(v, Said) else v for name, v in self.values.items()}
        return text % values


def said(text: str, **values: Any) -> Said:
    """Return a sentence. A percent sign in it is written twice."""
    return Said(text, values=values)


def counted(one: str, several: str, number: int, **values: Any) -> Said:
    """Return a sentence about so many: %(num)s.

    >>> str(counted("%(num)s call", "%(num)s calls", 2))
    '2 calls'
    """
    return Said(one, several, number, {"num": number, **values})
