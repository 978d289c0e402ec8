"""Lines of the log, errors and settings for a support bundle: what the program itself can say passes, nothing else.

Every word of the program's own messages and keys is known: it is read from its source. A word that is not among them
came from somewhere else, and is replaced. Of tracebacks the places stay, and no line of code.
"""

from __future__ import annotations

import ast
import ipaddress
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from vittne.appliance.support.names import Names

_TOP: Final = Path(__file__).resolve().parents[1]
_ALWAYS: Final = frozenset(
    """event level timestamp info warning error debug critical true false none null request request_id method route
    status source asker api v1 get post put delete patch head id ms number text exception""".split()  # noqa: SIM905
)
_SAYS: Final = frozenset(("info", "warning", "error", "debug", "critical", "exception", "append"))
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")
_DATE: Final = r"(?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]"
_CLOCK: Final = r"[0-2][0-9]:[0-5][0-9](?::[0-6][0-9](?:\.[0-9]{1,9})?)?(?:Z|[+-][0-2][0-9]:[0-5][0-9])?"
_TIME: Final = re.compile(rf"{_DATE}(?:T{_CLOCK})?|{_CLOCK}")
_PLACE: Final = re.compile(
    r'File "[^"]*?/?((?:vittne|site-packages|python3[.0-9]*|appliance|capture|codecs)/[\w/.]+)", '
    r"line ([0-9]{1,6}), in (\S+)"
)
_ADDRESS: Final = r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){3,7}"
_RUN: Final = r"[0-9](?:[ .\-/()*#]{0,2}[0-9]){5,}"  # a number written with spaces, or digits one by one
_RUNS: Final = re.compile(rf"(?P<kept>{_UUID.pattern}|{_DATE}(?:[T ]{_CLOCK})?|{_ADDRESS})|(?P<run>{_RUN})")
_SPLIT: Final = re.compile(r"""([\s,;()<>'"\[\]{}|=]+)""")
_ENDING: Final = re.compile(r"[.:!?]*$")
_PORT: Final = re.compile(r"(.+):([0-9]{1,5})")
_PART: Final = re.compile(r"[-_./:&…]+")
_MINE: Final = re.compile(r"(?:text|number|user|host|key|value|path)-[a-z]{10}")  # what stands for something already
_DIGITS: Final = 4  # in one piece of text, such as 0.25 or part-1
_INTERFACE: Final = re.compile(r"(?:eth|en[ospx]|bond|br|lo|veth|vlan|tap|tun|wl)[0-9a-z]{0,6}")


@cache
def vocabulary() -> frozenset[str]:
    """Return every word, in lower case, of messages, errors and their keys in the program's source."""
    found = set(_ALWAYS)
    for path in sorted(_TOP.rglob("*.py")) + sorted((_TOP.parent / "capture").rglob("*.py")):
        tree = ast.parse(path.read_bytes())
        for text in (*_said(tree), *_fixed(tree)):
            found.update(word.lower() for word in re.findall(r"[^\W\d_]+(?:'[a-z]+)?", text))
    return frozenset(found)


def _said(tree: ast.AST) -> Iterator[str]:
    """Yield texts that a module can say: of calls to the log and of errors, with the names of what they tell."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in _SAYS and not name.endswith(("Error", "Problem", "Kind", "DropWords", "Route")):
            continue
        yield from (one.arg for one in node.keywords if one.arg)
        for part in [*node.args, *(one.value for one in node.keywords)]:
            yield from _constants(part)


def _fixed(tree: ast.Module) -> Iterator[str]:
    """Yield texts that are values in a module: constants at its top, words of a Literal, keys of counters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            yield from _constants(node.slice)
    for top in tree.body:
        if isinstance(top, ast.Assign | ast.AnnAssign) and top.value is not None:
            yield from _constants(top.value)


def _constants(inside: ast.AST) -> Iterator[str]:
    return (one.value for one in ast.walk(inside) if isinstance(one, ast.Constant) and isinstance(one.value, str))


def scrub_line(line: str, names: Names) -> str:
    """Return a line of the log, JSON or words."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict):
        return json.dumps(scrub_value(said, names))
    return scrub_text(line, names)


def scrub_value(value: Any, names: Names) -> Any:
    """Return a value of JSON: numbers as they are, texts and keys scrubbed."""
    match value:
        case dict():
            return {_key(str(key), names): scrub_value(inner, names) for key, inner in value.items()}
        case list() | tuple():
            return [scrub_value(one, names) for one in value]
        case str():
            return scrub_text(value, names)
    return value


def _key(key: str, names: Names) -> str:
    words = re.split(r"[\W_]+", key.lower())
    return key if all(word in vocabulary() for word in words if word) and len(key) < 60 else names.word("key", key)


def scrub_text(text: str, names: Names) -> str:
    """Return a text in which only words of the program, small numbers, times and ids of recordings are left."""
    if 'File "' in text:
        return _trace(text, names)
    return "\n".join(_piece(line, names) for line in text.split("\n"))


def _trace(text: str, names: Names) -> str:
    """Return where it happened: places, and the kind of fault, which are the program's own."""
    head = text.split(" at ", 1)[0].split("\n", maxsplit=1)[0]
    kind = head if re.fullmatch(r"[A-Z][A-Za-z]{2,40}", head) else "a fault"
    places = [f"{path}:{number} {_place(name)}" for path, number, name in _PLACE.findall(text)]
    return " < ".join([kind, *reversed(places)])


def _place(name: str) -> str:
    return name if re.fullmatch(r"<?[A-Za-z_]\w{0,60}>?", name) else "x"


def _piece(text: str, names: Names) -> str:
    text = _RUNS.sub(lambda found: found["kept"] or names.word("number", found["run"]), text)
    pieces = _SPLIT.split(text)  # what stands at odd places is between two others
    return "".join(one if place % 2 else _chunk(one, names) for place, one in enumerate(pieces))


def _chunk(chunk: str, names: Names) -> str:
    """Return what stands between two spaces or brackets: whole, or what stands for it."""
    ending = _ENDING.search(chunk)
    assert ending is not None
    bare = chunk[: ending.start()]
    if not bare or _MINE.fullmatch(bare) or _UUID.fullmatch(bare) or _TIME.fullmatch(bare) or _is_ours(bare):
        return chunk
    port = _PORT.fullmatch(bare)
    for host, rest in ((bare, ""), (port[1], f":{port[2]}") if port else ("", "")):
        try:
            return names.address(ipaddress.ip_address(host)) + rest + ending[0]
        except ValueError:
            continue
    return names.word("text", bare) + ending[0]


def _is_ours(bare: str) -> bool:
    """Whether all parts of it are words of the program or small numbers."""
    parts = [part for part in _PART.split(bare) if part]
    digits = sum((part.isdecimal() and len(part)) or 0 for part in parts)
    return digits <= _DIGITS and all(
        part.lower() in vocabulary() or (part.isascii() and part.isdecimal()) or _INTERFACE.fullmatch(part)
        for part in parts
    )
