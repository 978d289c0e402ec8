"""Tags, notes and kept searches, done by the one writer. Tags and notes are in the trail, hashed in the ledger."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final

from pydantic import Field

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.listing.query import Query
from vittne.appliance.listing.table import ListingTable, Note, SavedSearch
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import FINISHED, CallRow
from vittne.appliance.store.times import now_us

TAGS: Final = 64  # on one recording
SEARCHES: Final = 200  # of one user


class CannotNote(StoreError):
    """What cannot be written about a recording, and why."""


class Tag(Order):
    """Put a tag on a recording, or take it off."""

    recording: str
    tag: str = Field(min_length=1, max_length=100)
    is_on: bool = True


class WriteNote(Order):
    """Write a note; it is never altered."""

    recording: str
    text: str = Field(min_length=1, max_length=4000)


class KeepSearch(Order):
    """Keep a search of a user. query: as listing/query.Query."""

    owner: str
    name: str = Field(min_length=1, max_length=100)
    query: dict[str, Any]
    roles: list[str] = Field(default_factory=list, max_length=32)


class DropSearch(Order):
    """Forget a search of a user."""

    owner: str
    search: str


def _tag(registrar: Registrar, order: Tag, caller: Caller) -> Steps:
    call = _noted(registrar, order.recording)
    tag = order.tag.strip()
    if not tag or not tag.isprintable():
        raise CannotNote("a tag is text that can be seen", call.id, "write it without")
    yield Progress(0, 1)
    if (tag in call.tags) == order.is_on:
        return {"recording": call.id, "tags": list(call.tags), "changed": False}
    tags = sorted({*call.tags, tag}) if order.is_on else [one for one in call.tags if one != tag]
    if len(tags) > TAGS:
        raise CannotNote(f"there are {TAGS} tags on it", call.id, "take one off first")
    registrar.audit.note(events.TAGGED, caller, call.id, tag=tag, is_on=order.is_on)
    ListingTable(registrar.catalogue).tag(call.id, tags)
    return {"recording": call.id, "tags": tags, "changed": True}


def _write_note(registrar: Registrar, order: WriteNote, caller: Caller) -> Steps:
    call = _noted(registrar, order.recording)
    if any(not (letter.isprintable() or letter in "\n\t") for letter in order.text):
        raise CannotNote("the note has letters that cannot be seen", call.id, "write it without")
    yield Progress(0, 1)
    table = ListingTable(registrar.catalogue)
    note = Note(call.id, table.next_note(call.id), now_us(), caller.name, order.text, secrets.token_hex(16))
    # The trail has a commitment: the text goes with the recording.
    said = hashlib.sha256(bytes.fromhex(note.salt) + note.text.encode()).hexdigest()
    registrar.audit.note(events.NOTED, caller, call.id, n=note.n, text_sha256=said)
    table.put_note(note)
    return {"recording": call.id, "n": note.n}


def _noted(registrar: Registrar, recording: str) -> CallRow:
    """Return a call that may be written about: what is written of one that goes on its end would overwrite."""
    call = registrar.catalogue.get(recording)
    if call.erased_us is not None:
        raise CannotNote("it was erased", call.id, "nothing was done")
    if call.state != FINISHED:
        raise CannotNote("the call goes on", call.id, "wait for its end")
    return call


def _keep(registrar: Registrar, order: KeepSearch, _: Caller) -> Steps:
    table = ListingTable(registrar.catalogue)
    mine = [one for one in table.searches(order.owner, ()) if one.name != order.name]
    if len(mine) >= SEARCHES:
        raise CannotNote(f"you keep {SEARCHES} searches", order.name, "forget one first")
    query = Query.model_validate(order.query).given()
    yield Progress(0, 1)
    made = SavedSearch(secrets.token_hex(8), order.owner, order.name.strip(), query, tuple(order.roles), now_us())
    table.put_search(made)
    return made.as_json(order.owner)


def _drop(registrar: Registrar, order: DropSearch, _: Caller) -> Steps:
    yield Progress(0, 1)
    return {"dropped": ListingTable(registrar.catalogue).drop_search(order.search, order.owner)}


TAG: Final = Operation("recording.tag", "tagging a recording", Tag, _tag)
WRITE_NOTE: Final = Operation("recording.note", "writing a note", WriteNote, _write_note)
KEEP_SEARCH: Final = Operation("search.keep", "keeping a search", KeepSearch, _keep)
DROP_SEARCH: Final = Operation("search.drop", "forgetting a search", DropSearch, _drop)
LISTING_OPERATIONS: Final[tuple[Operation[Any], ...]] = (TAG, WRITE_NOTE, KEEP_SEARCH, DROP_SEARCH)
