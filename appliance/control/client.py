"""Have an operation done: by the recorder when one runs, else here, with the directory's lock."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vittne.appliance.control.caller import login
from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.control.socket import LINE_LIMIT, SocketPath
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.lock import DataLock, LockHeld

if TYPE_CHECKING:
    from vittne.appliance.life.policy import LifePolicy

__all__ = ["RecorderFailed", "drain", "login", "perform"]

OnProgress = Callable[[Progress], None]
Ordered = TypeVar("Ordered", bound=Order)


class RecorderFailed(StoreError):
    """The recorder that has the data directory did not do what was asked; the text is its own."""


def perform(
    data_dir: Path,
    operation: Operation[Ordered],
    order: Ordered,
    by: str = "",
    on_progress: OnProgress = lambda _: None,
    policy: LifePolicy | None = None,
) -> dict[str, Any]:
    """Do an operation and return its answer. by: who asks; default: the user who is logged in.

    policy: what is configured, for when it is done here; a recorder that runs has its own.

    Raises StoreError: what the operation says, or that another program has the directory.
    """
    name = by or login()
    try:
        lock = DataLock(data_dir, operation.words)
    except LockHeld:
        connection = _connect(data_dir)
        if connection is None:
            raise
        with connection:
            return _ask(connection, operation, order, name, on_progress)
    from vittne.appliance.recover import recover  # noqa: PLC0415 - only where it is done here
    from vittne.appliance.registrar import Registrar  # noqa: PLC0415

    with lock:
        registrar = Registrar(data_dir)
        if policy is not None:
            registrar.life_policy = policy
        try:
            recover(registrar)
            return drain(operation.do(registrar, order, Caller(name)), on_progress)
        finally:
            registrar.close()


def drain(steps: Steps, on_progress: OnProgress = lambda _: None) -> dict[str, Any]:
    """Do all steps and return the answer."""
    while True:
        try:
            on_progress(next(steps))
        except StopIteration as end:
            answer: dict[str, Any] = end.value
            return answer


def _connect(data_dir: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with SocketPath(data_dir) as path:
            connection.connect(path)
    except OSError:
        connection.close()
        return None
    return connection


def _ask(
    connection: socket.socket, operation: Operation[Ordered], order: Ordered, name: str, on_progress: OnProgress
) -> dict[str, Any]:
    asked = {"operation": operation.name, "order": order.model_dump(mode="json"), "name": name}
    try:
        connection.sendall(json.dumps(asked).encode() + b"\n")
        with connection.makefile("rb") as lines:
            while line := lines.readline(LINE_LIMIT):
                said = json.loads(line)
                if "progress" in said:
                    on_progress(Progress(*said["progress"]))
                elif "answer" in said:
                    answer: dict[str, Any] = said["answer"]
                    return answer
                else:
                    raise RecorderFailed(*said["error"])
    except OSError as error:
        raise RecorderFailed(f"the recorder went away ({error.strerror})", operation.name, "ask again") from error
    raise RecorderFailed("the recorder went away", operation.name, "see what was done of it, and ask again")
