"""Network namespaces for tests: a room with its own interfaces, and processes that can be started in it.

As root a room is a network namespace; as an ordinary user all rooms of a building share
one user namespace, in which that user is root. A room lives as long as its keeper, a
process that sleeps until this end of its pipe is closed: whatever happens to the test
run, the kernel clears everything away.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, TypeVar

T = TypeVar("T")

_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_KEEPER: Final = "ip link set lo up && echo ready && exec cat >/dev/null"
_ANSWER_MAX: Final = 1 << 24
_NO_IPV6: Final = "/proc/sys/net/ipv6/conf/{}/disable_ipv6"


class NoRoom(Exception):
    """This machine lets this user have no network namespace; the text is what the kernel said."""


@dataclass
class Room:
    """One network namespace. `lo` is up; IPv6 is off unless asked for, so that the wire is silent."""

    name: str
    keeper: subprocess.Popen[str]
    own_user: bool  # in a user namespace

    @property
    def pid(self) -> int:
        return self.keeper.pid

    def _enter(self) -> list[str]:
        user = ["--user", "--preserve-credentials"] if self.own_user else []
        return ["nsenter", "--target", str(self.pid), *user, "--net"]

    def run(self, *command: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in the room to its end; its output is in the result, and in the error."""
        done = subprocess.run([*self._enter(), *command], capture_output=True, text=True, check=False, **options)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    @contextlib.contextmanager
    def process(
        self,
        *command: str,
        stdout: int | IO[Any] | None = subprocess.DEVNULL,
        stderr: int | IO[Any] | None = subprocess.STDOUT,
        grace_s: float = 3,
        **options: Any,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command in the room; when the block ends it is asked to end, then made to, by its pid."""
        # nsenter without --pid becomes the command: the pid is the command's own.
        started = subprocess.Popen([*self._enter(), *command], stdout=stdout, stderr=stderr, **options)
        try:
            yield started
        finally:
            end(started, grace_s)

    def python(self, *arguments: str) -> tuple[str, ...]:
        """Return the command that runs this Python with arguments, for run() and process()."""
        return (sys.executable, *arguments)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in the room, in a process of its own, and return what it returns (pickled)."""
        value: T = self._call(function, arguments)[0]
        return value

    def open(self, function: Callable[..., Any], *arguments: Any) -> tuple[Any, list[int]]:
        """As call(), for a function that returns (value, [descriptors]): these come over to this process.

        What was opened in a room stays there: a packet socket of the room can be used from outside.
        """
        value, descriptors = self._call(lambda: function(*arguments), (), takes_descriptors=True)
        return value, descriptors

    def _call(
        self, function: Callable[..., Any], arguments: Sequence[Any], takes_descriptors: bool = False
    ) -> tuple[Any, list[int]]:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end_ in (here, there):
            end_.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ANSWER_MAX)
        child = os.fork()
        if not child:
            here.close()
            _answer(self, function, arguments, there, takes_descriptors)
        there.close()
        with here:
            data, descriptors, _, _ = socket.recv_fds(here, _ANSWER_MAX, 64)
        os.waitpid(child, 0)
        if not data:
            raise RuntimeError(f"the process in room {self.name} ended without an answer")
        good, value = pickle.loads(data)
        if not good:
            raise value
        return value, list(descriptors)

    def sysctl(self, path: str, value: str) -> None:
        """Set a kernel parameter of the room: a path below /proc/sys."""
        self.call(_write, f"/proc/sys/{path}", value)


@dataclass
class Building:
    """Rooms that can be joined by cables."""

    rooms: dict[str, Room] = field(default_factory=dict)
    _cleanup: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def room(self, name: str, *, ipv6: bool = False) -> Room:
        """Add a room."""
        own_user = os.geteuid() != 0
        first = next(iter(self.rooms.values()), None)
        if not own_user:
            command = ["unshare", "--net"]
        elif first is None:
            command = ["unshare", "--user", "--map-root-user", "--net"]
        else:
            user = ["--user", "--preserve-credentials"]
            command = ["nsenter", "--target", str(first.pid), *user, "unshare", "--net"]
        keeper = subprocess.Popen(
            [*command, "sh", "-c", _KEEPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._cleanup.callback(_dismiss, keeper)
        assert keeper.stdout is not None
        assert keeper.stderr is not None
        if keeper.stdout.readline().strip() != "ready":
            raise NoRoom(keeper.stderr.read().strip())
        made = self.rooms[name] = Room(name, keeper, own_user)
        if not ipv6:
            made.call(_silence_ipv6)
        return made

    def cable(
        self, room: Room, interface: str, other: Room, other_interface: str, *, mtu: int = 1500, up: bool = True
    ) -> None:
        """Join two rooms (or one room to itself) by a pair of veth interfaces."""
        ends = ["name", other_interface, "mtu", str(mtu), "netns", str(other.pid)]
        room.run("ip", "link", "add", interface, "mtu", str(mtu), "type", "veth", "peer", *ends)
        if up:
            room.run("ip", "link", "set", interface, "up")
            other.run("ip", "link", "set", other_interface, "up")

    def mirror(self, room: Room, interface: str, to: str) -> None:
        """Copy what goes through an interface, both directions, to another interface of the room.

        u32 with a match on nothing: not every kernel has the classifier matchall.
        """
        room.run("tc", "qdisc", "add", "dev", interface, "clsact")
        everything = ["protocol", "all", "u32", "match", "u32", "0", "0"]
        for direction in ("ingress", "egress"):
            action = ["action", "mirred", "egress", "mirror", "dev", to]
            room.run("tc", "filter", "add", "dev", interface, direction, *everything, *action)

    def close(self) -> None:
        self._cleanup.close()


@contextlib.contextmanager
def building() -> Iterator[Building]:
    """Make a building, and clear it away with all its rooms."""
    made = Building()
    try:
        yield made
    finally:
        made.close()


def end(process: subprocess.Popen[Any], grace_s: float = 3) -> int:
    """End one process that we started; return its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def _dismiss(keeper: subprocess.Popen[str]) -> None:
    for stream in (keeper.stdin, keeper.stdout, keeper.stderr):
        if stream is not None:
            stream.close()
    end(keeper)


def _answer(
    room: Room,
    function: Callable[..., Any],
    arguments: Sequence[Any],
    there: socket.socket,
    takes_descriptors: bool,
) -> None:
    """Be the child of _call: never returns, so that nothing of the test run is done twice."""
    try:
        _go_into(room)
        value = function(*arguments)
        descriptors: list[int] = []
        if takes_descriptors:
            value, descriptors = value
        socket.send_fds(there, [pickle.dumps((True, value))], descriptors)
    except BaseException as error:
        there.send(pickle.dumps((False, _portable(error))))
    finally:
        os._exit(0)


def _portable(error: BaseException) -> BaseException:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(repr(error))
    return error


def _go_into(room: Room) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    kinds = [("user", _CLONE_NEWUSER)] if room.own_user else []
    opened = [
        (os.open(f"/proc/{room.pid}/ns/{name}", os.O_RDONLY), kind) for name, kind in [*kinds, ("net", _CLONE_NEWNET)]
    ]
    for descriptor, kind in opened:
        if libc.setns(descriptor, kind):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "setns")
        os.close(descriptor)


def _write(path: str, value: str) -> None:
    Path(path).write_text(value)


def _silence_ipv6() -> None:
    """A kernel without IPv6 has nothing to silence."""
    for which in ("all", "default"):
        with contextlib.suppress(FileNotFoundError):
            _write(_NO_IPV6.format(which), "1")
