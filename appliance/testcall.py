"""A real call of our own, so that a first recording is there before any telephone is.

Two small user agents talk SIP and RTP to each other over UDP (RFC 3261, RFC 3264, RFC 3550), each on ports
that the kernel gave it. They read what the other one sent: whom to answer and where to send voice
is taken from the messages, as with any other two telephones.
"""

from __future__ import annotations

import asyncio
import importlib.util
import secrets
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue, Search
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import FINISHED, CallRow
from vittne.appliance.testphone import UserAgent, sip_message
from vittne.appliance.testvoice import PACKET_S
from vittne.capture.sip.message import Message

CALLER: Final = "vittne-test-caller"
CALLEE: Final = "vittne-test-callee"
CALL_S: Final = 4.2  # what the clips last

_RINGING_S: Final = 0.1
_REPORT_EVERY: Final = 100  # packets
_RECORDED_S: Final = 30.0
_LOOK_S: Final = 0.25


class Dialog:
    """The caller's side of a call: its requests (RFC 3261 section 12.2.1.1)."""

    def __init__(self, caller: UserAgent, callee: UserAgent) -> None:
        self.caller = caller
        self.call_id = f"{secrets.token_hex(8)}@{caller.host}"
        self._target = callee.uri
        self._to_address = callee.address
        self._to = f"<sip:{callee.user}@{callee.host}>"

    def request(self, method: str, sequence: int, body: bytes = b"") -> None:
        caller = self.caller
        headers = {
            "Via": f"SIP/2.0/UDP {caller.host}:{caller.sip.port};branch=z9hG4bK{secrets.token_hex(8)}",
            "Max-Forwards": "70",
            "From": f'"Vittne test call" <sip:{caller.user}@{caller.host}>;tag={caller.tag}',
            "To": self._to,
            "Call-ID": self.call_id,
            "CSeq": f"{sequence} {method}",
            "Contact": f"<{caller.uri}>",
        }
        caller.sip.send(sip_message(f"{method} {self._target} SIP/2.0", headers, body), self._to_address)

    def established(self, answer: Message) -> None:
        """From a 2xx on, requests carry the callee's tag and go to its Contact."""
        self._to = answer.get("to") or self._to
        if answer.contact is not None:
            self._target = answer.contact.uri


async def place_call(host: str = "127.0.0.1", seconds: float = CALL_S) -> str:
    """Place one call from start to end and return its Call-ID; host is an IPv4 address of this machine.

    seconds is how long they talk; the clips begin anew when it is longer than they are.
    Raises CallFailed, and OSError when a socket cannot be had.
    """
    caller, callee = UserAgent(CALLER, "caller", host), UserAgent(CALLEE, "callee", host)
    try:
        await caller.open()
        await callee.open()
        dialog = Dialog(caller, callee)
        await _set_up(dialog, caller, callee)
        await _talk(caller, callee, seconds)
        dialog.request("BYE", 2)
        bye, sender = await callee.hear("BYE")
        callee.answer(bye, sender, "200 OK")
        await caller.hear("200")
    finally:
        caller.close()
        callee.close()
    return dialog.call_id


async def _set_up(dialog: Dialog, caller: UserAgent, callee: UserAgent) -> None:
    dialog.request("INVITE", 1, caller.session())
    invite, sender = await callee.hear("INVITE")
    callee.answer(invite, sender, "100 Trying")
    callee.answer(invite, sender, "180 Ringing")
    await caller.hear("100")
    await caller.hear("180")
    await asyncio.sleep(_RINGING_S)
    callee.answer(invite, sender, "200 OK", callee.session())
    dialog.established((await caller.hear("200"))[0])
    dialog.request("ACK", 1)
    await callee.hear("ACK")


async def _talk(caller: UserAgent, callee: UserAgent, seconds: float) -> None:
    """Send both voices, a packet every 20 ms by the clock: what was late is caught up, never left out."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for number in range(round(seconds / PACKET_S)):
        await asyncio.sleep(max(0.0, begin + number * PACKET_S - loop.time()))
        for agent in (caller, callee):
            if number and number % _REPORT_EVERY == 0:
                agent.report()
            agent.speak()
    await asyncio.sleep(max(0.0, begin + seconds - loop.time()))
    for agent in (caller, callee):
        agent.report(last=True)


async def place_and_explain(data: Path) -> None:
    """Place a test call, wait until its recording is finished, and print what can be done with it."""
    print("A test call is being placed over loopback; its recording is ready some 10 s after it.", flush=True)
    call_id = await place_call()
    deadline = time.monotonic() + _RECORDED_S
    call: CallRow | None = None
    while call is None and time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_S)
        call = await asyncio.to_thread(finished_call, data, call_id)
    print(*([_NOT_RECORDED] if call is None else explanation(call, data)), sep="\n", flush=True)


_NOT_RECORDED: Final = f"The test call's recording was not finished within {_RECORDED_S:g} s: see the log above."


def finished_call(data: Path, call_id: str) -> CallRow | None:
    """Return the finished recording of a SIP call, or None while there is none."""
    try:
        with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
            found = list(catalogue.list_calls(Search(unanswered=True, call_id=call_id)))
    except StoreError:
        return None  # the catalogue is being made, or busy: the next look tells
    return next((call for call in found if call.state == FINISHED), None)


def explanation(call: CallRow, data: Path) -> Iterator[str]:
    """Yield lines that say what was recorded and which commands show it, ready to be copied."""
    vittne = shlex.quote(_program())
    end = f"--data {shlex.quote(str(data) if data.is_absolute() else f'./{data}')}"
    packets = sum(stream.stored for stream in call.streams)
    yield ""
    yield f"A first call is here: {call.caller} to {call.callee}, {call.outcome}."
    yield f"It lasted {call.duration_s or 0:.1f} s; {packets} packets of voice are kept as they were captured."
    yield f"  list it    {vittne} list {end}"
    yield f"  verify it  {vittne} verify {call.id} {end}"
    yield f"  export it  {vittne} export {call.id} --format wav -o test-call.wav {end}"
    yield f"  play it    {vittne} play {call.id} {end}{_PLAY_NEEDS}"
    yield f"  see it     {vittne} explain {call.id} {end}"
    yield "Recording goes on. Ctrl-C ends it."


_PLAY_NEEDS: Final = "" if importlib.util.find_spec("pyaudio") else "   (needs the extra: pip install 'vittne[audio]')"


def _program() -> str:
    """Return the command as it can be typed here: from the working directory when it lies below it."""
    started = Path(sys.argv[0]).absolute()
    if started.name != "vittne":
        return "vittne"
    return str(started.relative_to(Path.cwd())) if started.is_relative_to(Path.cwd()) else str(started)
