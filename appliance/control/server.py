"""The recorder's side: operations one after another, each step in turn with everything else that the loop does.

Brief ones (logins, looks) have a turn of their own: they wait for one another, and for a step of a long one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic import ValidationError

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.control.socket import LINE_LIMIT, SOCKET_FILE, SocketPath, peer_user
from vittne.appliance.log import fault
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.errors import StoreError, explain

log = structlog.get_logger()

_ASK_S: Final = 30.0  # a connection that asks nothing is closed
_CONNECTIONS: Final = 64
_NAME_LIMIT: Final = 100
_NOTES: Final = 64  # that share a sync


class NoSuchOperation(StoreError):
    """The recorder that runs knows no such operation."""


Doer = Callable[..., Awaitable[Any]]  # a function and its arguments


_Step = tuple[Progress | None, dict[str, Any]]


async def at_once(work: Callable[..., Any], *arguments: Any) -> Any:
    """Do it here: where nothing else writes meanwhile."""
    return work(*arguments)


def _next(steps: Steps) -> _Step:
    """Do a step; None and the answer after the last one."""
    try:
        return next(steps), {}
    except StopIteration as end:
        return None, end.value


@dataclass(slots=True)
class _Note:
    """An operation that only writes a row of the trail."""

    steps: Steps
    done: asyncio.Future[dict[str, Any]]


def _note_all(registrar: Registrar, some: list[_Note]) -> list[dict[str, Any] | Exception]:
    """Do several, with one sync; return the answer of each, or why it was not done. Raises StoreError: none was."""
    answers: list[dict[str, Any] | Exception] = []
    with registrar.audit.together():
        for one in some:
            try:
                while True:
                    progress, answer = _next(one.steps)
                    if progress is None:
                        answers.append(answer)
                        break
            except Exception as error:  # each its own: the others have theirs
                answers.append(error)
    return answers


class Operator:
    """Does operations on the recorder's registrar: one long and one brief one at a time, each in order."""

    def __init__(self, registrar: Registrar, operations: Iterable[Operation[Any]], do: Doer = at_once) -> None:
        """do: has a step done where nobody else writes meanwhile; default: here."""
        self._registrar = registrar
        self._do = do
        self._operations = {operation.name: operation for operation in operations}
        self._turns = {False: asyncio.Lock(), True: asyncio.Lock()}  # by is_brief
        self._notes: list[_Note] = []
        self._writing: set[asyncio.Task[None]] = set()

    async def perform(
        self, operation: Operation[Any], order: Order, caller: Caller, say: Callable[[Progress], None] = lambda _: None
    ) -> dict[str, Any]:
        """Do an operation; return its answer. Raises StoreError. Cancelled, it stays as its last step left it."""
        if operation.is_note:
            return await self._noted(operation.do(self._registrar, order, caller))
        async with self._turns[operation.is_brief]:
            steps = operation.do(self._registrar, order, caller)
            try:
                while True:
                    step: _Step = await self._do(_next, steps)
                    progress, answer = step
                    if progress is None:
                        return answer
                    say(progress)
                    await asyncio.sleep(0)
            finally:
                # Cancelled amid a step that a thread does: that one ends by itself, and no other is begun.
                with contextlib.suppress(ValueError):
                    steps.close()

    async def _noted(self, steps: Steps) -> dict[str, Any]:
        """Do an operation that only notes, with all others that wait by then."""
        mine = _Note(steps, asyncio.get_running_loop().create_future())
        self._notes.append(mine)
        async with self._turns[True]:
            if not mine.done.done():
                some, self._notes = self._notes[:_NOTES], self._notes[_NOTES:]
                task = asyncio.create_task(self._write(some))
                self._writing.add(task)
                task.add_done_callback(self._writing.discard)
                await asyncio.shield(task)  # whoever is cancelled leaves the others theirs
        return await mine.done

    async def _write(self, some: list[_Note]) -> None:
        try:
            answers = await self._do(_note_all, self._registrar, some)
        except Exception as error:
            answers = [error] * len(some)
        for note, answer in zip(some, answers, strict=True):
            if note.done.cancelled():
                continue
            if isinstance(answer, Exception):
                note.done.set_exception(answer)
                note.done.exception()  # who was cancelled does not ask
            else:
                note.done.set_result(answer)

    def named(self, name: str) -> Operation[Any]:
        """Return an operation. Raises NoSuchOperation."""
        found = self._operations.get(name)
        if found is None:
            raise NoSuchOperation("the recorder knows no such operation", name[:60], "is it of another version?")
        return found


class ControlServer:
    """Listens on DIR/control.sock between start() and stop()."""

    def __init__(self, data_dir: Path, operator: Operator) -> None:
        self._data_dir = data_dir
        self._operator = operator
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self) -> None:
        """Begin to listen; the caller holds the directory's lock, so a socket that is there is nobody's.

        Raises StoreError.
        """
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            (self._data_dir / SOCKET_FILE).unlink(missing_ok=True)
            with SocketPath(self._data_dir) as path:
                listening.bind(path)
                os.chmod(path, 0o600)  # nobody gets in before it listens; a umask would be other threads' as well
            self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=LINE_LIMIT)
        except OSError as error:
            listening.close()
            raise explain(error, "open the socket for commands", self._data_dir / SOCKET_FILE) from error

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(OSError):  # a disk that takes nothing must not keep us from ending
                (self._data_dir / SOCKET_FILE).unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            user = peer_user(writer.get_extra_info("socket"))
            if user in (0, os.geteuid()) and self._open <= _CONNECTIONS:
                await self._answer(reader, writer, user)
        except (ConnectionError, TimeoutError):
            pass
        except Exception as error:  # a fault of ours costs this question, never the recorder
            log.error("an operation failed", reason=fault(error))
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, user: int) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), _ASK_S)
        except ValueError:
            return _say(writer, {"error": ["the question is too long", "", "ask for less at once"]})
        try:
            asked = json.loads(line)
            operation = self._operator.named(str(asked["operation"]))
            order = operation.order.model_validate_json(json.dumps(asked["order"]))
            caller = Caller(_name(asked.get("name"), user))
        except ValidationError as error:
            return _say(writer, {"error": ["the question is not understood", _words(error), "ask `--help`"]})
        except StoreError as error:
            return _say(writer, {"error": [error.what, error.where, error.next_step]})
        except (ValueError, KeyError, TypeError):
            return
        log.info("operation", name=operation.name, user=user)
        try:
            answer = await self._operator.perform(operation, order, caller, _teller(writer))
        except StoreError as error:
            log.warning("an operation was not done", name=operation.name, reason=error.what)
            return _say(writer, {"error": [error.what, error.where, error.next_step]})
        except Exception as error:
            _say(writer, {"error": [f"a fault in the recorder ({type(error).__name__})", "", "see its log; report it"]})
            raise
        _say(writer, {"answer": answer})
        await writer.drain()


def _say(writer: asyncio.StreamWriter, what: dict[str, Any]) -> None:
    if not writer.is_closing():
        writer.write(json.dumps(what).encode() + b"\n")


def _teller(writer: asyncio.StreamWriter) -> Callable[[Progress], None]:
    """Return what tells of progress; not oftener than the reader reads."""

    def tell(progress: Progress) -> None:
        if not writer.is_closing() and writer.transport.get_write_buffer_size() < LINE_LIMIT // 100:
            _say(writer, {"progress": [progress.done, progress.total, progress.words]})

    return tell


def _words(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])[:300]


def _name(said: object, user: int) -> str:
    """Return what a caller is called: as it says, and by its account where it says nothing."""
    if isinstance(said, str) and said.isprintable() and 0 < len(said) <= _NAME_LIMIT:
        return said
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid {user}"
