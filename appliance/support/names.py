"""What stands for a number, a name or an address in a support bundle: the same for the same, and nothing to go back by.

Each bundle has a fresh random key, which is thrown away with this object: HMAC-SHA-256 under it says what stands for
what. Words have no digit in them, so that none can be taken for a number; addresses are addresses, so that packets can
still be dissected. Who made the bundle may keep the table, to translate answers back.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import itertools
import secrets
from typing import Final
from urllib.parse import unquote

_LETTERS: Final = str.maketrans("0123456789abcdef", "bcdfghjkmnpqrstv")
_LENGTH: Final = 10
_SEPARATORS: Final = str.maketrans("", "", " -.()/\t")
_NET4: Final = 10 << 24
_NET6: Final = 0xFD << 120
_LOCAL: Final = frozenset({"127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104 - nobody's, and kept as they are


class Names:
    """Replacements under one key. table: what was replaced, by what stands for it."""

    def __init__(self, key: bytes = b"") -> None:
        self._key = key or secrets.token_bytes(32)
        self._given: dict[tuple[str, str], str] = {}
        self.table: dict[str, str] = {}

    def word(self, kind: str, text: str) -> str:
        """Return what stands for a text, such as `tag-hkqcdmbvtr`. kind: a word of ours.

        >>> names = Names(bytes(32))
        >>> names.word("tag", "abc") == names.word("tag", "abc") != names.word("tag", "abd")
        True
        """
        found = self._given.get((kind, text))
        if found is None:
            found = f"{kind}-{self._digest(kind, text).hex().translate(_LETTERS)[:_LENGTH]}"
            self._keep(kind, text, found)
        return found

    def user(self, text: str) -> str:
        """Return what stands for the user of an address: a number however it is written, a name in any case.

        >>> names = Names(bytes(32))
        >>> names.user("+46 70-123") == names.user("%2B4670123")
        True
        """
        plain = unquote(text).strip().casefold()
        packed = plain.translate(_SEPARATORS)
        return self.word("user", packed if packed.lstrip("+").isdigit() else plain)

    def host(self, text: str) -> str:
        """Return what stands for a host: an address for an address, a name below .invalid for a name."""
        bare = text.strip().strip("[]").rstrip(".").casefold()
        try:
            address = ipaddress.ip_address(bare.partition("%")[0])
        except ValueError:
            return f"{self.word('host', bare)}.invalid"
        return self.address(address)

    def address(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
        """Return the address that stands for one: in 10.0.0.0/8 or fd00::/8, never one for two."""
        text = str(address)
        if text in _LOCAL:
            return text
        found = self._given.get(("address", text))
        for attempt in itertools.count():
            if found is not None:
                break
            digest = int.from_bytes(self._digest("address", f"{text} {attempt}"), "big")
            number = _NET4 | digest >> 232 if address.version == 4 else _NET6 | digest >> 136
            one = str(ipaddress.IPv4Address(number) if address.version == 4 else ipaddress.IPv6Address(number))
            if one not in self.table:
                found = one
                self._keep("address", text, found)
        assert found is not None
        return found

    def number32(self, kind: str, value: int) -> int:
        """Return 32 bits that stand for others, such as an SSRC."""
        return int.from_bytes(self._digest(kind, str(value))[:4], "big")

    def ordinal(self, kind: str, text: str) -> int:
        """Return 1 for the first text of a kind, 2 for the next other one."""
        found = self._given.get((kind, text))
        if found is None:
            found = str(1 + sum(one == kind for one, _ in self._given))
            self._given[kind, text] = found
        return int(found)

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.digest(self._key, f"{kind}\0{text}".encode("utf-8", "surrogatepass"), hashlib.sha256)

    def _keep(self, kind: str, text: str, found: str) -> None:
        self._given[kind, text] = found
        self.table[found] = text
