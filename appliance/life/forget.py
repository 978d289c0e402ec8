"""What the catalogue still says of people once a recording is erased: nothing.

The row stays, with its times, so that counts agree; whatever names somebody goes, also where it was written beside:
pauses, corrections, requests, released holds, and rows of the audit trail. A row of the trail that named a party loses
its details and its salt; who did it, what and when stays, but the ledger's commitment to it can be shown no more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, delete, or_, select, update

from vittne.appliance.review.table import forget_reviews
from vittne.appliance.seal.events import ERASED, SEARCHED, TAGGED
from vittne.appliance.store.corrections import Correction
from vittne.appliance.store.holds import forget_in_holds
from vittne.appliance.store.listing import relist
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.tables import (
    answers,
    audit,
    calls,
    corrections,
    decisions,
    dialogs,
    notes,
    pauses,
    requests,
    saved_searches,
    streams,
)
from vittne.appliance.verdicts.table import forget_verdicts

OUTCOME: Final = "erased"
_AROUND_US: Final = 26 * 3_600_000_000  # the API keeps its answers for a day
_SAID: Final = ("select", "reason", "external_id")  # of a pause, what was written by who asked
_LEAST_WORD: Final = 4  # letters of a part of a name that is looked for by itself
_LEAST_DIGITS: Final = 6  # of a number that is looked for however it is written

Speaks = Callable[[Any], bool]
# Other tables that hold what people can be told by (a search index): (connection, ids) in the same transaction.
ALSO: Final[list[Callable[[Connection, Sequence[str]], None]]] = []


def names_of(row: CallRow, made: Sequence[Correction] = ()) -> set[str]:
    """Return whatever a call's parties, and its dialogs, can be told by."""
    found = {row.caller, row.callee, *row.call_ids}
    for party in row.parties:
        if isinstance(party, Mapping):
            found.update(str(party.get(name, "")) for name in ("uri", "name"))
            found.update(word for word in str(party.get("name", "")).split() if len(word) >= _LEAST_WORD)
    found.update(_told_in(row.details))
    for stream in row.streams:
        found.update(_host(end) for end in (stream.source, stream.destination))
    for one in made:
        found.update((one.before, one.after))
    found |= {_user(one) for one in found}
    return {one for one in found if len(one) > 1}


def _told_in(details: Mapping[str, Any]) -> Iterator[str]:
    """Yield whom a call's details name: agents, and parties of its dialogs and of its signalling."""
    facts = details.get("facts")
    told = [facts] if isinstance(facts, Mapping) else []
    yield str(details.get("agent") or "")
    for one in told:
        for name in ("callers", "callees", "agents"):
            yield from _texts(one.get(name, ()))
    for dialog in details.get("dialogs") or ():
        if isinstance(dialog, Mapping):
            yield from (str(dialog.get(name) or "") for name in ("caller", "callee"))


def speaking_of(names: Collection[str]) -> Speaks:
    """Return what says whether a text, or any text in a JSON value, has one of these names in it, as a whole word."""
    if not names:
        return lambda _: False
    words = "|".join(re.escape(one) for one in sorted(names, key=len, reverse=True))
    named = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)
    numbers = {digits for one in names if len(digits := _digits(_user(one))) >= _LEAST_DIGITS}

    def speaks(value: Any) -> bool:
        return any(named.search(text) or any(n in _digits(text) for n in numbers) for text in _texts(value))

    return speaks


def forget(
    connection: Connection, rows: Sequence[CallRow], made: Mapping[str, Sequence[Correction]], at_us: Mapping[str, int]
) -> None:
    """Reduce calls that are erased, in the caller's transaction. at_us: when each was, by id."""
    ids = [row.id for row in rows]
    if not ids:
        return
    speaks = {row.id: speaking_of(names_of(row, made.get(row.id, ()))) for row in rows}
    _forget_trail(connection, ids, speaks)
    names = set().union(*(names_of(row, made.get(row.id, ())) for row in rows))
    _forget_searches(connection, ids, names, speaking_of(names))
    _forget_kept(connection, ids, names, speaking_of(names))
    _forget_requests(connection, ids, speaks)
    _forget_pauses(connection, rows, speaking_of(names))
    _forget_answers(connection, rows)
    for row in rows:
        forget_in_holds(connection, [row.id], speaks[row.id])
    gone = {"before": "", "after": "", "reason": ""}
    connection.execute(update(corrections).where(corrections.c.recording.in_(ids)).values(gone))
    connection.execute(delete(dialogs).where(dialogs.c.call.in_(ids)))
    call_ids = [one for row in rows for one in row.call_ids]
    connection.execute(delete(decisions).where(decisions.c.call_id.in_(call_ids)))
    connection.execute(update(streams).where(streams.c.call.in_(ids)).values(source="", destination=""))
    connection.execute(update(notes).where(notes.c.recording.in_(ids)).values(text="", salt=""))
    forget_reviews(connection, ids)
    forget_verdicts(connection, ids)
    for also in ALSO:
        also(connection, ids)
    reduced = update(calls).where(calls.c.id == bindparam("which"))
    values = {
        "caller": "",
        "callee": "",
        "parties": [],
        "details": {},
        "basis": {},
        "tags": [],
        "outcome": OUTCOME,
        "outcome_reasons": [],
        "folder": "",
        "size_bytes": 0,
    }
    connection.execute(
        reduced.values({name: bindparam(f"new_{name}") for name in (*values, "erased_us")}),
        [
            {"which": one, "new_erased_us": at_us[one], **{f"new_{name}": value for name, value in values.items()}}
            for one in ids
        ],
    )
    relist(connection, ids)


def _forget_trail(connection: Connection, ids: Sequence[str], speaks: Mapping[str, Speaks]) -> None:
    query = select(audit.c.id, audit.c.recording, audit.c.kind, audit.c.details)
    for row in connection.execute(query.where(audit.c.recording.in_(ids), audit.c.kind != ERASED)).all():
        if row.kind == TAGGED or speaks[row.recording](row.details):
            connection.execute(update(audit).where(audit.c.id == row.id).values(details={}, salt=""))


def _forget_searches(connection: Connection, ids: Sequence[str], names: Collection[str], speaks: Speaks) -> None:
    """Empty the rows of searches for somebody: by his name or number, or a longer part of one.

    Not while another call names him: the catalogue says it all the same, and who searched for him is to be known.
    """
    named: dict[str, bool] = {}
    query = select(audit.c.id, audit.c.details).where(audit.c.kind == SEARCHED, audit.c.salt != "")
    folded = [name.casefold() for name in names]
    for row in connection.execute(query).all():
        sought = [text.casefold() for text in _texts(row.details.get("query")) if len(text) >= _LEAST_WORD]
        if speaks(row.details) or any(text in name for text in sought for name in folded):
            for text in sought:
                if text not in named:
                    named[text] = _is_named(connection, ids, text)
            if not any(named[text] for text in sought):
                connection.execute(update(audit).where(audit.c.id == row.id).values(details={}, salt=""))


def _forget_kept(connection: Connection, ids: Sequence[str], names: Collection[str], speaks: Speaks) -> None:
    """Forget searches that somebody keeps for a person, unless another call names him."""
    folded = [name.casefold() for name in names]
    for row in connection.execute(select(saved_searches.c.id, saved_searches.c.name, saved_searches.c.body)).all():
        sought = [text.casefold() for text in _texts(row.body) if len(text) >= _LEAST_WORD]
        is_his = speaks([row.name, row.body]) or any(text in name for text in sought for name in folded)
        if is_his and not any(_is_named(connection, ids, text) for text in sought):
            connection.execute(delete(saved_searches).where(saved_searches.c.id == row.id))


def _is_named(connection: Connection, ids: Sequence[str], text: str) -> bool:
    """Say whether a call that is there, and not one of these, has a text as part of a party."""
    sides = or_(*(side.icontains(text, autoescape=True) for side in (calls.c.caller, calls.c.callee)))
    other = select(calls.c.id).where(sides, calls.c.erased_us.is_(None), calls.c.id.not_in(ids)).limit(1)
    return connection.execute(other).first() is not None


def _forget_requests(connection: Connection, ids: Sequence[str], speaks: Mapping[str, Speaks]) -> None:
    query = select(requests.c.id, requests.c.recording, requests.c.order).where(requests.c.recording.in_(ids))
    for row in connection.execute(query).all():
        if speaks[row.recording](row.order):
            connection.execute(update(requests).where(requests.c.id == row.id).values(order={}))


def _forget_pauses(connection: Connection, rows: Sequence[CallRow], speaks: Speaks) -> None:
    """Empty pauses that were on these calls, or speak of their parties and lived while a call of theirs was up."""
    mine = {row.id: set(row.call_ids) for row in rows}
    first, last = _window(rows)
    lived = and_(pauses.c.asked_us <= last, pauses.c.ended_us >= first)
    query = select(pauses.c.id, pauses.c.ended_us, pauses.c.body).where(or_(lived, pauses.c.ended_us.is_(None)))
    for row in connection.execute(query).all():
        found = [one for one in row.body.get("calls", ()) if one in mine]
        # One that lives, and was not on these, waits for another call of that person: it needs what it was asked with.
        if not found and (row.ended_us is None or not speaks([row.body.get(name) for name in _SAID])):
            continue
        theirs = set().union(*(mine[one] for one in found or mine))
        is_all = len(found) == len(row.body["calls"])  # then whatever it names is theirs, known here or not
        left = [one for one in row.body.get("call_ids", ()) if one not in theirs and not is_all]
        # A standing one keeps others' cards off the disk: without its selection a restart would end that.
        stands = row.ended_us is None and row.body.get("scope") == "agent"
        said = {} if stands else {"select": {}, "reason": "", "external_id": ""}
        body = {**row.body, **said, "call_ids": left}
        connection.execute(update(pauses).where(pauses.c.id == row.id).values(body=body))


def _forget_answers(connection: Connection, rows: Sequence[CallRow]) -> None:
    """The API's answers of the last day may name a call."""
    names = [name.encode() for row in rows for name in (row.id, json.dumps(row.caller)[1:-1]) if name]
    first, last = _window(rows)
    query = select(answers.c.token, answers.c.key_sha256, answers.c.body)
    for row in connection.execute(query.where(answers.c.created_us.between(first, last))).all():
        if any(name in row.body for name in names):
            which = (answers.c.token == row.token, answers.c.key_sha256 == row.key_sha256)
            connection.execute(delete(answers).where(*which))


def _window(rows: Sequence[CallRow]) -> tuple[int, int]:
    first = min(row.started_us for row in rows)
    last = max(row.ended_us or row.started_us for row in rows)
    return first - _AROUND_US, last + _AROUND_US


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, Sequence):
        for one in value:
            yield from _texts(one)


def _user(uri: str) -> str:
    """Return the part of a URI that names somebody."""
    return re.sub(r"^(?:sips?|tel):", "", uri, flags=re.IGNORECASE).partition("@")[0].partition(";")[0]


def _host(end: str) -> str:
    return end.rpartition(":")[0].strip("[]")


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)
