"""The command `vittne`: errors that were expected are one line, never a stack trace."""

from __future__ import annotations

import gc
import os
import sys
from typing import Final

TRACE_VARIABLE: Final = "VITTNE_TRACE"


def main() -> None:
    """Run the command line and end the process with its status."""
    # Before anything imports numpy: its threads are of no use here and cost memory and start-up.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # What is imported stays: looking through it for garbage costs a tenth of a short command.
    gc.set_threshold(100_000, 20, 100)
    raise SystemExit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status: 0 done, 1 an error that was told, 2 wrong usage."""
    from vittne.appliance.cli import dispatch  # noqa: PLC0415 - the environment is set first
    from vittne.appliance.store.errors import StoreError  # noqa: PLC0415

    try:
        status = dispatch(arguments)
        sys.stdout.flush()
        return status
    except StoreError as error:
        return _told(str(error))
    except BrokenPipeError:
        # Whoever read has gone (`| head`): nobody to tell, and nothing more to write at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _told(f"{error.strerror or error}{where}: see whether it is there and may be used")
    except Exception as error:  # the outermost loop: a fault of ours
        if os.environ.get(TRACE_VARIABLE):
            raise
        return _told(f"a fault of the program: {type(error).__name__}: {error}: set {TRACE_VARIABLE}=1 and report it")


def _told(text: str) -> int:
    for line in text.splitlines() or [""]:
        shown = "".join(letter if letter.isprintable() else "·" for letter in line)
        print(f"vittne: {shown}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    main()
