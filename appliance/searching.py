"""Entering a search at a terminal, before what it found is shown. Light: a recorder that runs does the work.

Without a recorder the entry is made here, which loads all that writes. Where it cannot be made (a directory that this
user cannot write, another program that has it) that is said, and the search goes on: who can read the database needs
no program of ours to search it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from vittne.appliance.control.caller import login
from vittne.appliance.control.socket import LINE_LIMIT, SocketPath
from vittne.appliance.store.errors import StoreError

_ANSWER_S = 30.0

Query = Mapping[str, str | int | bool]


def enter_search(data: Path, where: str, query: Query, found: int, by: str = "") -> None:
    """Enter who searched: where is "calls", "subject" or "all recorders", query what was asked, found how many."""
    if not os.access(data, os.W_OK):
        return _say("the directory cannot be written by you")
    order = {"where": where, "query": dict(query), "found": found}
    try:
        if not _told(data, order, by or login()):
            _enter_here(data, order, by)
    except StoreError as error:
        _say(str(error))


def _told(data: Path, order: Mapping[str, object], name: str) -> bool:
    """Have the recorder enter it; False when none answers. Raises StoreError: what it says."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_S)
        try:
            with SocketPath(data) as path:
                connection.connect(path)
        except OSError:
            return False
        try:
            connection.sendall(json.dumps({"operation": "searched", "order": order, "name": name}).encode() + b"\n")
            with connection.makefile("rb") as lines:
                while line := lines.readline(LINE_LIMIT):
                    said = json.loads(line)
                    if "answer" in said:
                        return True
                    if "error" in said:
                        raise StoreError(*said["error"])
        except (OSError, ValueError) as error:
            raise StoreError(f"the recorder did not answer ({error})", data, "look at its log") from error
    raise StoreError("the recorder did not answer", data, "ask as its own user, or as root")


def _enter_here(data: Path, order: Mapping[str, object], by: str) -> None:
    from vittne.appliance.control.client import perform  # noqa: PLC0415 - heavy, and only without a recorder
    from vittne.appliance.searches import SEARCHED, Searched  # noqa: PLC0415

    perform(data, SEARCHED, Searched.model_validate(order), by)


def _say(why: str) -> None:
    print(f"note: nobody will see that this was searched for: {why}", file=sys.stderr)
