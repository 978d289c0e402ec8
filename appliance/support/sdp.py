"""A session description for a support bundle: lines that are known to be harmless pass, checked; all others go.

Source: RFC 8866. Left: media, ports, payload types, codecs and their numbers, direction, timing. Gone or replaced:
names, addresses, keys (crypto, fingerprint, ICE), subjects, telephone numbers, and whatever is not known.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from vittne.appliance.support import known
from vittne.appliance.support.names import Names

_SUITES: Final = re.compile(r"(?:AEAD_)?(?:AES|F8|NULL)_[A-Z0-9_]{2,40}")
_FMTP_VALUE: Final = re.compile(
    r"[0-9]{1,6}|[0-9](?:,[0-9]){1,8}|[0-9]{1,2}\.[0-9]{1,2}(?:-[0-9]{1,3}\.[0-9]{1,2})?|yes|no|on|off|any|nb|wb|swb|fb"
)
_EVENTS: Final = re.compile(r"[0-9]{1,3}(?:-[0-9]{1,3})?(?:,[0-9]{1,3}(?:-[0-9]{1,3})?){0,15}")
_NUMBERED: Final = frozenset(("ptime", "maxptime", "framerate", "T38FaxVersion", "T38MaxBitRate", "T38FaxMaxBuffer"))
_SETUP: Final = frozenset(("active", "passive", "actpass", "holdconn"))
_REMOVED: Final = "removed"
_NO_KEY: Final = "A" * 40  # zeros, in the form that dissectors want


def scrub_sdp(body: bytes, names: Names) -> bytes:
    """Return a description in which nothing is left of people, machines and keys."""
    found = [_line(line.strip(), names) for line in body.decode("utf-8", "replace").splitlines() if line.strip()]
    return "".join(f"{line}\r\n" for line in found if line).encode()


def _line(line: str, names: Names) -> str:
    kind, equals, value = line.partition("=")
    do = _LINES.get(kind.strip())
    return f"{kind.strip()}={do(value.strip(), names)}" if equals and do is not None else ""


def _version(value: str, names: Names) -> str:
    return "0"


def _origin(value: str, names: Names) -> str:
    fields = (value.split() + [""] * 6)[:6]
    session, version = names.ordinal("sdp-session", fields[1]), names.ordinal("sdp-version", f"{fields[1]} {fields[2]}")
    return f"- {session} {version} {_where(fields[3:], names)}"


def _dash(value: str, names: Names) -> str:
    return "-"


def _connection(value: str, names: Names) -> str:
    return _where((value.split() + [""] * 3)[:3], names)


def _where(fields: list[str], names: Names) -> str:
    family = "IP6" if fields[1].upper() == "IP6" else "IP4"
    return f"IN {family} {names.host(fields[2].partition('/')[0])}"


def _bandwidth(value: str, names: Names) -> str:
    return value if re.fullmatch(r"(?:AS|CT|TIAS|RS|RR):[0-9]{1,7}", value) else f"AS:{_REMOVED}"


def _timing(value: str, names: Names) -> str:
    return "0 0"


def _media(value: str, names: Names) -> str:
    fields = value.split()
    kind = fields[0] if fields and fields[0] in ("audio", "video", "image", "text", "application", "message") else "x"
    port = fields[1] if len(fields) > 1 and re.fullmatch(r"[0-9]{1,5}(?:/[0-9]{1,2})?", fields[1]) else "0"
    profile = fields[2] if len(fields) > 2 and fields[2].lower() in known.PROFILES else "x"
    formats = [one if re.fullmatch(r"[0-9]{1,3}", one) or one == "t38" else "x" for one in fields[3:40]]
    return " ".join([kind, port, profile, *formats])


def _attribute(value: str, names: Names) -> str:
    name, colon, rest = value.partition(":")
    if not colon:
        return name if name in known.FLAGS else _REMOVED
    do = _ATTRIBUTES.get(name)
    found = do(rest.strip(), names) if do is not None else None
    if found is None and name in _NUMBERED and re.fullmatch(r"[0-9]{1,6}", rest.strip()):
        found = rest.strip()
    return _REMOVED if found is None else f"{name}:{found}"


def _rtpmap(value: str, names: Names) -> str | None:
    read = re.fullmatch(r"([0-9]{1,3})\s+([^/\s]{1,40})/([0-9]{1,6})(/[0-9]{1,2})?", value)
    if read is None:
        return None
    codec = read[2] if read[2].lower() in known.CODECS else names.word("codec", read[2])
    return f"{read[1]} {codec}/{read[3]}{read[4] or ''}"


def _fmtp(value: str, names: Names) -> str | None:
    number, _, rest = value.partition(" ")
    if not re.fullmatch(r"[0-9]{1,3}", number):
        return None
    if _EVENTS.fullmatch(rest.strip()):
        return f"{number} {rest.strip()}"
    kept = []
    for one in rest.split(";"):
        key, _, said = (part.strip() for part in one.partition("="))
        if key.lower() in known.FMTP_KEYS and _FMTP_VALUE.fullmatch(said.lower()):
            kept.append(f"{key}={said}")
    return f"{number} {';'.join(kept) or _REMOVED}"


def _crypto(value: str, names: Names) -> str | None:
    read = re.match(r"([0-9]{1,3})\s+(\S+)", value)
    return f"{read[1]} {read[2]} inline:{_NO_KEY}" if read and _SUITES.fullmatch(read[2]) else None


def _rtcp(value: str, names: Names) -> str | None:
    read = re.fullmatch(r"([0-9]{1,5})(?:\s+IN\s+IP[46]\s+(\S+))?", value)
    if read is None:
        return None
    return read[1] if read[2] is None else f"{read[1]} IN {'IP6' if ':' in read[2] else 'IP4'} {names.host(read[2])}"


def _setup(value: str, names: Names) -> str | None:
    return value if value in _SETUP else None


_LINES: Final[dict[str, Callable[[str, Names], str]]] = {
    "v": _version,
    "o": _origin,
    "s": _dash,
    "c": _connection,
    "b": _bandwidth,
    "t": _timing,
    "m": _media,
    "a": _attribute,
}
_ATTRIBUTES: Final[dict[str, Callable[[str, Names], str | None]]] = {
    "rtpmap": _rtpmap,
    "fmtp": _fmtp,
    "crypto": _crypto,
    "rtcp": _rtcp,
    "setup": _setup,
}
