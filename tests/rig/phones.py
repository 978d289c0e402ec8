"""Telephones: SIPp with the scenarios in tests/system/calls, and baresip without a sound card."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builders import Scenario
from building.formats import CODECS, Samples
from rig.exchange import EXCHANGE, EXCHANGE_V6, SIP_PORT, wait_for_port
from rig.namespaces import Room

_SCENARIOS: Final = Path(__file__).resolve().parents[1] / "system" / "calls"
_MODULES: Final = "/usr/lib/baresip/modules"
_FIRST_CONTROL_PORT: Final = 4400  # and the last number of its address
_TIMEOUT_S: Final = 40
_ANSWER_S: Final = 10.0


def write_voice(
    path: Path,
    pcm: Samples,
    codec: str = "PCMU",
    *,
    ssrc: int,
    keys: Sequence[tuple[float, str]] = (),
    silent: Sequence[tuple[int, int]] = (),
) -> None:
    """Write a capture file that SIPp plays: one RTP stream. keys and silent: as Scenario.voice has them."""
    scenario = Scenario()
    speaker, listener = scenario.endpoint("speaker", "192.0.2.1"), scenario.endpoint("listener", "192.0.2.2")
    seconds = len(pcm) / 8000
    scenario.voice(speaker, listener, 0.0, seconds, codec=codec, pcm=pcm, ssrc=ssrc, keys=keys, silent=silent)
    scenario.write(path)


@dataclass(frozen=True, slots=True)
class Sipp:
    """A SIPp telephone. folder holds its voice.pcap and its logs; calls: how many it makes, at two a second."""

    room: Room
    folder: Path
    scenario: str
    address: str
    user: str
    codec: str = "PCMU"
    transport: str = "u1"
    number: str = ""  # whom it calls; "" waits for calls
    calls: int = 1

    def command(self) -> list[str]:
        exchange = f"[{EXCHANGE_V6}]" if ":" in self.address else EXCHANGE
        return [
            "sipp",
            *([f"{exchange}:{SIP_PORT}", "-s", self.number, "-m", str(self.calls), "-r", "2"] if self.number else []),
            *("-sf", str(_SCENARIOS / f"{self.scenario}.xml")),
            *("-i", self.address, "-mi", self.address, "-p", str(SIP_PORT), "-mp", "20000"),
            *("-t", self.transport),
            *("-key", "user", self.user),
            *("-key", "codec", self.codec),
            *("-key", "payload", str(CODECS[self.codec].payload_type)),
            *("-timeout", str(_TIMEOUT_S), "-timeout_error"),
            *("-trace_err", "-error_file", "errors.log"),
            "-nostdin",
        ]

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        with (
            (self.folder / "screen.log").open("wb") as log,
            self.room.process(*self.command(), stdout=log, stdin=subprocess.DEVNULL, cwd=self.folder) as process,
        ):
            yield process

    def finish(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until all its calls were made, as the scenario says."""
        assert process.wait(_TIMEOUT_S) == 0, self.trouble()

    def trouble(self) -> str:
        log = self.folder / "errors.log"
        return log.read_text() if log.exists() else (self.folder / "screen.log").read_text()[-2000:]


@dataclass(frozen=True, slots=True)
class Baresip:
    """A baresip telephone, registered at the exchange, driven over its control port."""

    room: Room
    folder: Path
    address: str
    user: str
    voice: Samples  # at 8000 Hz; what it says after the answer
    encryption: str = ""  # srtp-mand: SDES
    answers: bool = False

    @property
    def control_port(self) -> int:
        return _FIRST_CONTROL_PORT + int(self.address.rpartition(".")[2])

    @contextlib.contextmanager
    def running(self) -> Iterator[BaresipLine]:
        """Start it; ready when it listens."""
        self._configure()
        command = ["baresip", "-f", str(self.folder)]
        with (
            (self.folder / "screen.log").open("wb") as log,
            self.room.process(*command, stdout=log, stdin=subprocess.DEVNULL, cwd=self.folder),
        ):
            line = BaresipLine(_connected(self.room, self.address, self.control_port))
            try:
                yield line
            finally:
                line.close()

    def _configure(self) -> None:
        with wave.open(str(self.folder / "voice.wav"), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(self.voice.astype("<i2").tobytes())
        lines = [
            "poll_method epoll",
            f"sip_listen {self.address}:{SIP_PORT}",
            f"net_interface {self.address}",
            "call_local_timeout 30",
            f"audio_source aufile,{self.folder / 'voice.wav'}",
            f"audio_player aufile,{self.folder / 'heard.wav'}",
            f"audio_alert aufile,{self.folder / 'alert.wav'}",
            "audio_channels 1-1",
            "audio_buffer 20-160",
            "rtp_ports 20000-20998",
            "rtcp_mux no",
            "jitter_buffer_delay 1-5",
            f"module_path {_MODULES}",
            *(f"module {name}.so" for name in ("g711", "aufile", "srtp")),
            *(f"module_app {name}.so" for name in ("account", "menu", "ctrl_tcp")),
            f"ctrl_tcp_listen {self.address}:{self.control_port}",
        ]
        (self.folder / "config").write_text("\n".join(lines) + "\n")
        (self.folder / "contacts").write_text("")
        options = [f'outbound="sip:{EXCHANGE}"', "regint=300", "audio_codecs=PCMU/8000/1", "inreq_allowed=yes"]
        options += ["answermode=auto"] if self.answers else []
        options += [f"mediaenc={self.encryption}"] if self.encryption else []
        (self.folder / "accounts").write_text(f"<sip:{self.user}@{EXCHANGE}>;auth_pass=none;{';'.join(options)}\n")


class BaresipLine:
    """The control port of a baresip: commands in, events out, each JSON in a netstring."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._heard = b""
        self.told: list[dict[str, object]] = []

    def command(self, name: str, parameter: str = "") -> str:
        """Give a command; return what it says to it."""
        text = json.dumps({"command": name, "params": parameter}).encode()
        begin = len(self.told)
        self._connection.sendall(b"%d:%s," % (len(text), text))
        return str(self._wait("response", True, begin)["data"])

    def wait_for(self, event: str) -> None:
        """Wait until it has told of an event: CALL_ESTABLISHED, CALL_CLOSED ..."""
        self._wait("type", event)

    def wait_for_registration(self) -> None:
        """Wait until the exchange knows it."""
        deadline = time.monotonic() + _ANSWER_S
        while "OK" not in self.command("reginfo"):
            assert time.monotonic() < deadline, self.told
            time.sleep(0.1)

    def _wait(self, key: str, value: object, begin: int = 0) -> dict[str, object]:
        deadline = time.monotonic() + _ANSWER_S
        while True:
            for one in self.told[begin:]:
                if one.get(key) == value:
                    return one
            left = deadline - time.monotonic()
            assert left > 0, f"no {key} {value}: {self.told}"
            self._connection.settimeout(left)
            with contextlib.suppress(TimeoutError):
                self._take(self._connection.recv(65536))

    def close(self) -> None:
        self._connection.close()

    def _take(self, data: bytes) -> None:
        assert data, f"it has gone: {self.told}"
        self._heard += data
        while b":" in self._heard:
            size, _, rest = self._heard.partition(b":")
            if len(rest) <= int(size):
                return
            self.told.append(json.loads(rest[: int(size)]))
            self._heard = rest[int(size) + 1 :]


def _connected(room: Room, address: str, port: int) -> socket.socket:
    wait_for_port(room, "tcp", port)

    def opened() -> tuple[None, list[int]]:
        connection = socket.create_connection((address, port), 5)
        return None, [connection.detach()]

    _, (descriptor,) = room.open(opened)
    return socket.socket(fileno=descriptor)
