"""Names of directories: filters with what somebody typed in them (RFC 4515), names of entries (RFC 4514), ids."""

from __future__ import annotations

import re
import uuid
from typing import Final

_SPECIAL: Final = re.compile(r"[\x00-\x1f()*\\\x7f-\U0010ffff]")
_DN_SPECIAL: Final = frozenset('\\,+"<>;=')
_PART: Final = re.compile(r"\\[0-9A-Fa-f]{2}|\\.|[^\\]", re.DOTALL)


def in_filter(text: str) -> str:
    """Return a value as it stands in a filter, so that it is only ever that value: RFC 4515 section 3.

    >>> in_filter("*)(uid=*")
    '\\\\2a\\\\29\\\\28uid=\\\\2a'
    """
    return _SPECIAL.sub(lambda found: "".join(f"\\{byte:02x}" for byte in found[0].encode()), text)


def in_dn(text: str) -> str:
    """Return a value as it stands in a distinguished name: RFC 4514 section 2.4.

    >>> in_dn(" Berg, Anna#")
    '\\\\20Berg\\\\, Anna#'
    """
    found = "".join(f"\\{one}" if one in _DN_SPECIAL else "\\00" if one == "\0" else one for one in text)
    if found[:1] == "#":
        found = f"\\{found}"
    if text[:1] == " ":
        found = f"\\20{found[1:]}"
    if len(text) > 1 and text[-1] == " ":
        found = f"{found[:-1]}\\20"
    return found


def folded_dn(name: str) -> str:
    """Return a distinguished name as it is compared: without its case, its spaces around commas, in one spelling.

    >>> folded_dn("CN=Berg\\\\2C Anna , DC=Example") == folded_dn("cn=Berg\\\\, anna,dc=example")
    True
    """
    parts: list[str] = []
    value: list[tuple[bytes, bool]] = []  # each byte or letter, and whether it was escaped
    for one in _PART.findall(name):
        if one in (",", ";"):
            parts.append(_one(value))
            value = []
        elif one[0] == "\\" and len(one) == 3:
            value.append((bytes.fromhex(one[1:]), True))
        else:
            value.append((one[-1:].encode(), one[0] == "\\"))
    return ",".join([*parts, _one(value)])


def _one(value: list[tuple[bytes, bool]]) -> str:
    """Return one name=value of a name: spaces around either go, but for escaped ones."""
    at = value.index((b"=", False)) if (b"=", False) in value else -1
    left, right = value[: at + 1][:-1], value[at + 1 :]
    for side in (left, right):
        while side and side[0] == (b" ", False):
            side.pop(0)
        while side and side[-1] == (b" ", False):
            side.pop()
    name, said = (b"".join(one for one, _ in side).decode("utf-8", "backslashreplace") for side in (left, right))
    return f"{name}={said}".casefold().replace(",", "\\,")  # a comma in a value must not become one that parts


def id_text(name: str, value: bytes) -> str:
    """Return what names an entry for good, as text: Active Directory's objectGUID is 16 bytes, little end first.

    >>> id_text("objectGUID", bytes(range(16)))
    '03020100-0504-0706-0809-0a0b0c0d0e0f'
    """
    if name.casefold() == "objectguid" and len(value) == 16:
        return str(uuid.UUID(bytes_le=value))
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.hex()
    return text if text.isprintable() else value.hex()
