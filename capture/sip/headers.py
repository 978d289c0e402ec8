"""Header fields of SIP: lines, compact names, lists, parameters, and names with addresses.

Sources: RFC 3261 sections 7.3, 20 and 25.1; compact names from the IANA registry; RFC 3966 (tel:).
Nothing here refuses: what cannot be read comes out empty, and the caller decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

MAX_PARAMS: Final = 64

COMPACT: Final = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}

# Headers whose value is a list. All others keep their commas: dates, subjects, credentials.
_LIST_NAMES: Final = """
    accept accept-contact accept-encoding accept-language accept-resource-priority alert-info allow
    allow-events call-info contact content-encoding content-language diversion error-info geolocation
    history-info in-reply-to p-asserted-identity p-associated-uri p-called-party-id p-early-media
    p-preferred-identity path permission-missing proxy-require reason record-route recv-info
    reject-contact remote-party-id request-disposition require resource-priority route security-client
    security-server security-verify service-route supported trigger-consent unsupported via warning
"""
LISTS: Final = frozenset(_LIST_NAMES.split())

_FOLD: Final = re.compile(r"\r?\n[ \t]+")
_CONTROL: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127), "\ufffd")
_CONTROL_BYTES: Final = bytes(_CONTROL)
_LATIN_CONTROL: Final = dict.fromkeys(range(0x80, 0xA0), "\ufffd")  # C1: some of them command a terminal
_ESCAPED_CONTROL: Final = re.compile(r"%(?=[01][0-9A-Fa-f]|7[Ff])")
_LIST_SPECIAL: Final = re.compile(r'[",<>\\]')
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_PARAM: Final = re.compile(r';\s*+([^\s;=,]++)\s*+(?:=\s*+("(?:[^"\\]|\\.)*+"|[^\s;]*+))?', re.DOTALL)
_PHONE: Final = re.compile(r"(\+?[0-9*#().-]+);")


def read_text(raw: bytes) -> str:
    """Return raw as text: UTF-8, else Latin-1; control characters other than CR, LF and tab show as U+FFFD.

    Latin-1 rather than replacement: different letters stay different, so that two Call-IDs do not become one.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if not text.isascii():
        text = text.translate(_LATIN_CONTROL)
    if len(raw.translate(None, _CONTROL_BYTES)) != len(raw):
        text = text.translate(_CONTROL)
    return text


def find_blank_line(data: bytes | bytearray, begin: int = 0) -> tuple[int, int] | None:
    """Return (end of the last line with its LF, first byte after the blank line); None without one."""
    crlf = data.find(b"\n\r\n", begin)
    lf = data.find(b"\n\n", begin, crlf + 1 if crlf >= 0 else len(data))
    if lf >= 0:
        return lf + 1, lf + 2
    return (crlf + 1, crlf + 3) if crlf >= 0 else None


def canonical(name: str) -> str:
    """Return a header's long name in lower case.

    >>> canonical("M"), canonical("Call-ID")
    ('contact', 'call-id')
    """
    name = name.lower()
    return COMPACT.get(name, name)


def read_lines(text: str) -> list[str]:
    """Return the lines of a head, continuation lines joined to the line that they continue."""
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    return text.split("\n")


def read_header(line: str) -> tuple[str, str] | None:
    """Return (name, value) of one header line, None when it is none (RFC 3261 7.3.1)."""
    name, colon, value = line.partition(":")
    name = name.strip().lower()
    if not colon or not name:
        return None
    return COMPACT.get(name, name), value.strip()


def split_list(value: str) -> list[str]:
    """Split a header value at its top-level commas: not those in quotes or between < and >.

    >>> split_list('"Bell, A." <sip:a@b;x=1,2>, <sip:c@d>')
    ['"Bell, A." <sip:a@b;x=1,2>', '<sip:c@d>']
    """
    if "," not in value:
        return [value] if value else []
    items: list[str] = []
    begin, skip_to, in_quotes, in_angle = 0, 0, False, False
    for special in _LIST_SPECIAL.finditer(value):
        at, character = special.start(), special[0]
        if at < skip_to:
            continue
        if character == "\\":
            skip_to = at + 2
        elif character == '"' and not in_angle:
            in_quotes = not in_quotes
        elif in_quotes:
            continue
        elif character == ",":
            if not in_angle:
                items.append(value[begin:at].strip())
                begin = at + 1
        else:
            in_angle = character == "<"
    items.append(value[begin:].strip())
    return [item for item in items if item]


def read_params(text: str) -> dict[str, str]:
    """Return `;name=value` parameters, names in lower case, quotes taken off; of a repeated one the first."""
    params: dict[str, str] = {}
    for name, value in _PARAM.findall(text):
        if len(params) == MAX_PARAMS:
            break
        params.setdefault(name.lower(), _unquoted(value) if value[:1] == '"' else value)
    return params


def _unquoted(value: str) -> str:
    """Return a quoted string without its quotes and backslashes."""
    inner = value[1:-1] if len(value) > 1 and value[-1] == '"' else value[1:]
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL) if "\\" in inner else inner


def unescape(text: str) -> str:
    """Undo %-escapes (RFC 3261 25.1); escaped control characters stay: no log or table wants them.

    >>> unescape("sips%3Auser%40example.com"), unescape("null-%00")
    ('sips:user@example.com', 'null-%00')
    """
    if "%" not in text:
        return text
    return unquote(_ESCAPED_CONTROL.sub("%25", text))


@dataclass(frozen=True, slots=True)
class NameAddr:
    """Who: a name-addr or addr-spec with its header parameters (RFC 3261 20.10, 20.20, 20.39)."""

    display: str  # quotes and backslashes taken off
    uri: str  # as written, without < and >; "*" in some Contacts
    tag: str = ""
    params: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def user(self) -> str:
        """The user part, unescaped: a name or a telephone number; "" when the URI has none."""
        return user_part(self.uri)


def user_part(uri: str) -> str:
    """Return the user part of a SIP URI or the number of a tel: URI, unescaped; "" when there is none.

    Parameters of a telephone number (`+1234;rn=..@`) are left out, as is a password.

    >>> user_part("sip:+358;phone-context=x@example.com"), user_part("tel:+1-201-555;ext=2")
    ('+358', '+1-201-555')
    >>> user_part("sip:example.com"), user_part("sip:user;par=u%40example.net@example.com")
    ('', 'user;par=u@example.net')
    """
    scheme, colon, rest = uri.partition(":")
    if colon and scheme.lower() in {"tel", "fax", "modem"}:
        return unescape(rest.partition(";")[0])
    # The first @, not the last: Refer-To with an unescaped Replaces (`?Replaces=1@host`) is seen.
    user, sign, _ = (rest if colon else uri).partition("@")
    if not sign:
        return ""
    user = user.partition(":")[0]
    phone = _PHONE.match(user)
    return unescape(phone[1] if phone else user)


def read_name_addr(value: str) -> NameAddr:
    """Return who a From, To, Contact, Refer-To ... names; unbalanced quotes and brackets are tolerated.

    >>> read_name_addr('"Bell, \\\\"A.\\\\"" <sip:a.g.bell@example.com>;tag=43')
    NameAddr(display='Bell, "A."', uri='sip:a.g.bell@example.com', tag='43', params={'tag': '43'})
    >>> read_name_addr("sip:caller@example.net;tag=7").uri
    'sip:caller@example.net'
    """
    quoted = _QUOTED.match(value) if value[:1] == '"' else None
    left = value.find("<", quoted.end() if quoted else 0)
    if left < 0:
        # RFC 3261 20: without brackets what follows the semicolon belongs to the header, not to the URI.
        uri, semicolon, rest = value[quoted.end() if quoted else 0 :].partition(";")
        params = read_params(semicolon + rest) if semicolon else {}
        return NameAddr(_unquoted(quoted[0]) if quoted else "", uri.strip(), params.get("tag", ""), params)
    display = _unquoted(quoted[0]) if quoted else value[:left].strip().lstrip('"')
    right = value.find(">", left)
    uri, rest = (value[left + 1 : right], value[right + 1 :]) if right > 0 else (value[left + 1 :], "")
    params = read_params(rest) if ";" in rest else {}
    return NameAddr(display, uri.strip(), params.get("tag", ""), params)
