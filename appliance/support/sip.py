"""A SIP message for a support bundle, written anew from what is known to be harmless.

Allow-list first: a header that is not listed keeps neither its name nor its value, and one that is listed has a form
that its value must have. Left: methods, codes, order, timers, options, media types, the parameters that routing goes
by. Replaced, each by what stands for it: users, hosts, Call-IDs, tags, branches, names of products that nobody knows.
Gone: display names, subjects, credentials, keys, bodies that are no session description. Sources: RFC 3261 section 20
and 25.1, IANA's registry of header fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from vittne.appliance.support import known
from vittne.appliance.support.names import Names
from vittne.appliance.support.sdp import scrub_sdp
from vittne.capture.errors import Malformed
from vittne.capture.sip.headers import split_list
from vittne.capture.sip.message import Message, parse

_VERSION: Final = re.compile(r"v?[0-9]{1,2}(?:\.[0-9]{1,3}){0,2}")
_URI: Final = re.compile(
    r"(?P<scheme>sips?|tel|urn|mailto|https?|pres|im):(?:(?P<user>[^@\s<>]*)@)?(?P<host>\[[^\]]*\]|[^;:?\s<>]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<params>(?:;[^?\s<>]*)?)(?P<headers>(?:\?[^\s<>]*)?)",
    re.IGNORECASE,
)
_URI_FLAGS: Final = frozenset(("lr", "ob", "gr", "hide"))
_TRANSPORTS: Final = frozenset(("udp", "tcp", "tls", "sctp", "ws", "wss"))
_VIA: Final = re.compile(
    r"SIP\s*/\s*2\.0\s*/\s*(?P<over>[A-Za-z-]{2,8})\s+"
    r"(?P<host>\[[^\]]*\]|[^;:\s]+)(?:\s*:\s*(?P<port>[0-9]{1,5}))?"
)
_TEXT: Final = re.compile(r';\s*text\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_INDEX: Final = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,2}){0,5}")


def scrub_sip(raw: bytes, names: Names) -> bytes:
    """Return a message in which nothing is left of people; one that cannot be read is only said to have been there."""
    message = parse(raw)
    if isinstance(message, Malformed):
        return b"(a message that could not be read was here)\r\n"
    body, kind = _body(message, names)
    lines = [_start_line(message, names)]
    for name, value in message.headers:
        if name in ("content-length", "content-type"):
            continue
        lines.append(_header(name, value, names))
    lines += [f"Content-Type: {kind}"] if kind else []
    lines.append(f"Content-Length: {len(body)}")
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


def scrub_uri(text: str, names: Names) -> str:
    """Return an address without display name, its user and host replaced; a bare number or name by its user."""
    found = _URI.search(text)
    return names.user(text.strip()) if found is None else _uri(found, names)


def _start_line(message: Message, names: Names) -> str:
    if message.is_request:
        return f"{_method(message.method, names)} {scrub_uri(message.request_uri, names)} SIP/2.0"
    return f"SIP/2.0 {message.status} {known.REASONS.get(message.status, 'Other')}"


def _method(method: str, names: Names) -> str:
    return method if method in known.METHODS else names.word("method", method)


def _body(message: Message, names: Names) -> tuple[bytes, str]:
    """Return the body and its type: descriptions scrubbed, of everything else that it was there."""
    if not message.body:
        return b"", ""
    session = next((part.body for part in message.parts() if part.content_type == "application/sdp"), None)
    if session is None and not message.content_type and message.body.startswith(b"v=0"):
        session = message.body
    if session is not None:
        return scrub_sdp(session, names), "application/sdp"
    kind = message.content_type if message.content_type in known.MEDIA_TYPES else "application/octet-stream"
    return b"(removed)\r\n", kind


def _header(name: str, value: str, names: Names) -> str:
    if name in known.CREDENTIALS:
        return f'{_shown(name)}: Digest removed="removed"'
    if name in known.REMOVED:
        return f"{_shown(name)}: removed"
    do = _HEADERS.get(name)
    if do is None:
        return f"X-{names.word('header', name)}: {names.word('value', value)}"
    return f"{_shown(name)}: {do(value, names)}"


def _shown(name: str) -> str:
    return {"call-id": "Call-ID", "cseq": "CSeq", "www-authenticate": "WWW-Authenticate"}.get(name, name.title())


def _uri(found: re.Match[str], names: Names) -> str:
    scheme, user, host = found["scheme"].lower(), found["user"], found["host"]
    if scheme == "tel":
        return f"tel:{names.user(host)}"
    if scheme not in ("sip", "sips"):
        return f"{scheme}:{names.word('value', found[0])}"
    # A user may be `number;phone-context=...:password`; what is behind the number goes with it.
    who = "" if user is None else f"{names.user(re.split('[;:]', user, maxsplit=1)[0])}@"
    port = f":{found['port']}" if found["port"] else ""
    return f"{scheme}:{who}{names.host(host)}{port}{_params(found['params'], names)}"


def _params(text: str, names: Names) -> str:
    """Return `;name=value` for each parameter that is known, and how many were not."""
    found = []
    for one in text.split(";")[1:]:
        name, _, value = (part.strip() for part in one.partition("="))
        found.append(_param(name.lower(), value.strip('"'), names))
    unknown = sum(not one for one in found)
    return "".join(f";{one}" for one in found if one) + (";removed" if unknown else "")


def _param(name: str, value: str, names: Names) -> str:
    if name in _URI_FLAGS or (name == "rport" and not value):
        return name
    if name == "transport":
        return f"transport={value.lower()}" if value.lower() in _TRANSPORTS else ""
    if name == "user":
        return f"user={value}" if value in ("phone", "ip", "dialstring") else ""
    if name in known.TAGS:
        return f"{name}={names.word('tag', value)}"
    if name == "branch":
        magic, rest = ("z9hG4bK", value[7:]) if value.startswith("z9hG4bK") else ("", value)
        return f"branch={magic}{names.word('branch', rest)}"
    if name in known.COUNTS:
        is_small = re.fullmatch(r"[0-9]{1,5}|[01]\.[0-9]{1,3}", value) or (name == "index" and _INDEX.fullmatch(value))
        return f"{name}={value}" if is_small else ""
    if name in known.HOSTS:
        return f"{name}={names.host(value)}"
    if name in known.WORDS and (not value or value.lower() in known.WORDS):
        return f"{name}={value.lower()}" if value else name
    return ""


def _addresses(value: str, names: Names) -> str:
    return ", ".join(_address(one, names) for one in split_list(value))


def _address(value: str, names: Names) -> str:
    """Return a name-addr or addr-spec without its display name."""
    if value.strip() == "*":
        return "*"
    within = re.search(r"<([^>]*)>", value)
    if within is not None:
        return f"<{scrub_uri(within[1], names)}>{_params(value[within.end() :], names)}"
    address, _, params = value.partition(";")
    return f"<{scrub_uri(address, names)}>{_params(';' + params if params else '', names)}"


def _via(value: str, names: Names) -> str:
    return ", ".join(_one_via(one, names) for one in split_list(value))


def _one_via(value: str, names: Names) -> str:
    found = _VIA.match(value.strip())
    if found is None:
        return names.word("value", value)
    over = found["over"].upper()
    over = over if over.lower() in _TRANSPORTS else "UDP"
    port = f":{found['port']}" if found["port"] else ""
    return f"SIP/2.0/{over} {names.host(found['host'])}{port}{_params(value.strip()[found.end() :], names)}"


def _call_id(value: str, names: Names) -> str:
    return names.word("call", value.strip())


def _replaces(value: str, names: Names) -> str:
    call_id, semicolon, params = value.partition(";")
    return _call_id(call_id, names) + _params(semicolon + params, names)


def _cseq(value: str, names: Names) -> str:
    number, _, method = value.partition(" ")
    return f"{number if re.fullmatch('[0-9]{1,10}', number) else 0} {_method(method.strip(), names)}"


def _number(value: str, names: Names) -> str:
    number, semicolon, params = value.partition(";")
    shown = number.strip() if re.fullmatch(r"[0-9]{1,5}", number.strip()) else "0"
    return shown + _params(semicolon + params, names)


def _rack(value: str, names: Names) -> str:
    fields = (value.split() + [""] * 3)[:3]
    return f"{_sequence(fields[0], names)} {_sequence(fields[1], names)} {_method(fields[2], names)}"


def _sequence(value: str, names: Names) -> str:
    return value.strip() if re.fullmatch(r"[0-9]{1,10}", value.strip()) else "0"


def _words(value: str, names: Names) -> str:
    """Return a list of words with parameters, each as it was where it is a known one."""
    return ", ".join(_word(one.strip(), names) for one in value.split(","))


def _word(value: str, names: Names) -> str:
    word, semicolon, params = value.partition(";")
    word = word.strip()
    is_known = word in known.METHODS or word.lower() in known.WORDS or word.lower() in known.MEDIA_TYPES
    return (word if is_known else names.word("value", word)) + _params(semicolon + params, names)


def _product(value: str, names: Names) -> str:
    """Return a product's name and version, as far as the world knows it."""
    found = []
    for token in re.split(r"[\s/()_,;\[\]]+", value)[:20]:
        if token.lower() in known.PRODUCTS or _VERSION.fullmatch(token):
            found.append(token)
        elif token:
            found.append(names.word("product", token))
    return " ".join(found)


def _reason(value: str, names: Names) -> str:
    return ", ".join(_word(_TEXT.sub("", one), names) for one in split_list(value))


def _warning(value: str, names: Names) -> str:
    code = re.match(r"[0-9]{3}", value.strip())
    return f'{code[0] if code else "399"} removed "removed"'


_Do = Callable[[str, Names], str]
_HEADERS: Final[dict[str, _Do]] = {
    **dict.fromkeys(known.ADDRESSED, _addresses),
    **dict.fromkeys(known.WORDED, _words),
    **dict.fromkeys(("max-forwards", "expires", "min-expires", "min-se", "session-expires", "retry-after"), _number),
    **dict.fromkeys(("user-agent", "server"), _product),
    **dict.fromkeys(("replaces", "target-dialog", "join"), _replaces),
    "via": _via,
    "call-id": _call_id,
    "in-reply-to": _call_id,
    "cseq": _cseq,
    "rseq": _sequence,
    "rack": _rack,
    "reason": _reason,
    "warning": _warning,
}
