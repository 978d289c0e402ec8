"""The process that sends: `python -m vittne.appliance.fleet.process DIR`, what it is to know in a line on its input.

It says each step in a line of JSON, and goes on with a line from the recorder, which is the one who writes here. It has
the lowest priority for CPU and disk, and ends when the recorder does.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from vittne.appliance.fleet.sending import Sender, Step
from vittne.appliance.fleet.server import server_of
from vittne.appliance.fleet.settings import CatalogueSettings
from vittne.appliance.log import fault
from vittne.appliance.scrub.process import stay_behind
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError

_TIDY_S: Final = 3600.0
_BEAT_S: Final = 60.0
_STEP_LIMIT: Final = 400


def main(arguments: list[str]) -> int:
    """Send until nobody listens; return the exit status."""
    told = json.loads(sys.stdin.readline())
    settings = CatalogueSettings.model_validate(told["settings"], strict=False)
    stay_behind()
    try:
        with (
            Catalogue(Path(arguments[0]) / CATALOGUE_FILE, read_only=True) as here,
            Catalogue(server_of(settings, told["schema"])) as there,
        ):
            sender = Sender(here, there, told["about"])
            sender.begin(settings.reader)
            _serve(sender, settings.every_s, told["once"])
    except StoreError as error:
        _say({"word": "failed", "reason": str(error)[:_STEP_LIMIT]})
        return 1
    except Exception as error:  # not its words: a driver's may hold a row, and somebody's number in it
        _say({"word": "failed", "reason": fault(error)})
        return 1
    return 0


def _serve(sender: Sender, every_s: float, once: bool) -> None:
    tidied_s = beaten_s = float("-inf")
    while True:
        for step in sender.round():
            _tell(step)
        _say({"word": "done"})
        if time.monotonic() - beaten_s > _BEAT_S:
            sender.beat()
            beaten_s = time.monotonic()
        if sender.has_erased and (once or time.monotonic() - tidied_s > _TIDY_S):
            sender.tidy()
            tidied_s = time.monotonic()
        if once or _is_over(every_s):
            return


def _tell(step: Step) -> None:
    _say(asdict(step))
    if not sys.stdin.readline():
        raise SystemExit(0)


def _is_over(seconds: float) -> bool:
    """Wait; say whether the recorder is gone: it writes nothing that is not asked for."""
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def _say(what: dict[str, Any]) -> None:
    try:
        print(json.dumps(what), flush=True)
    except BrokenPipeError:
        os._exit(0)  # the recorder is gone, and with it who would hear of it


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
