"""Sending a script out of an interface, as raw frames: a ring on the same interface sees what goes out as well."""

from __future__ import annotations

import asyncio
import time

from vittne.appliance.canary.script import Script
from vittne.appliance.edge.rings import open_sender
from vittne.appliance.store.errors import StoreError


class CannotSend(StoreError):
    """The canary call could not be sent; the text says where and why."""


async def send(script: Script, interface: str) -> tuple[list[list[int]], int]:
    """Send every frame at its time; return when each packet of each voice went (ns UTC), and when the last frame did.

    What is late is sent at once, never left out. Raises CannotSend.
    """
    times: list[list[int]] = [[], []]
    try:
        with open_sender(interface) as sender:
            sender.setblocking(False)
            begin = time.monotonic_ns()
            for step in script.steps:
                ahead = begin + step.after_ns - time.monotonic_ns()
                if ahead > 0:
                    await asyncio.sleep(ahead / 1e9)
                at_ns = time.time_ns()
                sender.send(step.frame)
                if step.voice >= 0:
                    times[step.voice].append(at_ns)
            return times, time.time_ns()
    except PermissionError as error:
        next_step = "run it as root, or let vittne-edge.service run beside it"
        raise CannotSend("the canary call may not be sent (no right to raw packets)", interface, next_step) from error
    except OSError as error:
        what = f"the canary call could not be sent ({error.strerror or type(error).__name__})"
        raise CannotSend(what, interface, "is the interface there and up?") from error
