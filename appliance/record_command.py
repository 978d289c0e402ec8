"""`vittne record`: from interfaces or capture files to sealed recordings."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vittne.appliance.store.errors import StoreError
from vittne.appliance.version import VERSION

NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """What to record from and how. Times are seconds."""

    data: Path
    interfaces: tuple[str, ...] = ()
    pcaps: tuple[str, ...] = ()
    hold_back_s: float = 5.0
    commit_s: float = 2.0
    media_silence_s: float = 3600.0
    record_unsignalled: bool = False
    ring_rate: int | None = None  # packets/s to plan the ring for; None: by link speed and memory
    part_minutes: float = 15.0
    test_call: bool = False


class RecordError(StoreError):
    """Recording cannot begin."""


def run(options: RecordOptions) -> int:
    """Record until the files end or somebody stops us; return the exit status."""
    from vittne.appliance.recover import recover  # noqa: PLC0415 - only what this command needs is loaded
    from vittne.appliance.registrar import Registrar  # noqa: PLC0415
    from vittne.appliance.store.files import Store  # noqa: PLC0415
    from vittne.appliance.store.lock import DataLock  # noqa: PLC0415
    from vittne.appliance.worker import allow_many_files, keep_memory, keep_to_ourselves  # noqa: PLC0415

    if bool(options.interfaces) == bool(options.pcaps):
        raise RecordError("nothing to record from", "record", "give --interface or --pcap, one of the two")
    allow_many_files()
    keep_memory()
    keep_to_ourselves()
    Store(options.data).close()  # makes the directory
    with DataLock(options.data, "recording"):
        registrar = Registrar(options.data)
        try:
            finished = recover(registrar)
            if finished:
                print(f"finished {len(finished)} recordings that an earlier run left open", file=sys.stderr)
            return _files(options, registrar) if options.pcaps else _live(options, registrar)
        finally:
            registrar.close()


def _files(options: RecordOptions, registrar: Any) -> int:
    from vittne.appliance.replay import FileRun, capture_files  # noqa: PLC0415
    from vittne.capture.pcapfile import CaptureFileError  # noqa: PLC0415
    from vittne.capture.pipeline import Settings  # noqa: PLC0415

    # Calls are found garbage seldom and in great numbers: looking for it at every allocation costs a tenth.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    settings = Settings(
        int(options.hold_back_s * NS),
        int(options.media_silence_s * NS),
        record_unsignalled=options.record_unsignalled,
    )
    paths = list(options.pcaps)
    run = FileRun(registrar, settings, int(options.part_minutes * 60 * NS))
    try:
        if sys.stderr.isatty():
            from vittne.appliance.progress import reading  # noqa: PLC0415

            with reading(list(capture_files(paths))) as advance:
                summary = run.run(paths, VERSION, advance)
        else:
            summary = run.run(paths, VERSION)
    except CaptureFileError as error:
        raise RecordError(str(error), "record", "see what `file` says of it; pcap and pcapng are read") from error
    _print_summary(summary)
    return 0


def _print_summary(summary: Any) -> None:
    calls = sum(summary.outcomes.values())
    print(f"{summary.files} files, {summary.frames} packets ({summary.packets} RTP), {calls} calls")
    for outcome, count in sorted(summary.outcomes.items()):
        print(f"  {outcome:24} {count}")
    if summary.unsignalled:
        print(f"  {'streams without signalling':24} {summary.unsignalled}   (`vittne streams` lists them)")
    rows = [(layer, reason, n) for layer, reasons in summary.drops.items() for reason, n in reasons.items()]
    if rows:
        print("not recorded, by layer and reason:")
        for layer, reason, count in rows:
            print(f"  {layer:8} {reason:40} {count}")
    for problem in [*summary.problems, *summary.faults]:
        print(f"warning: {problem}", file=sys.stderr)


def _live(options: RecordOptions, registrar: Any) -> int:
    import structlog  # noqa: PLC0415

    from vittne.appliance import log as logging  # noqa: PLC0415
    from vittne.appliance.store.times import now_us  # noqa: PLC0415
    from vittne.appliance.supervisor import LiveSettings, Supervisor  # noqa: PLC0415
    from vittne.capture.offloads import offload_warning  # noqa: PLC0415
    from vittne.capture.ringopen import RingError, open_ring  # noqa: PLC0415

    logging.set_up()
    log = structlog.get_logger()
    rings = []
    try:
        for name in options.interfaces:
            rings.append(open_ring(name, _ring_size(options, name)))
    except RingError as error:
        for ring in rings:
            ring.close()
        raise RecordError(str(error), ", ".join(options.interfaces), "mend it and start again") from error
    for name in options.interfaces:
        warning = offload_warning(name)
        if warning:
            log.warning(warning)
    log_key_state(log, options.data)
    registrar.begin_run(options.interfaces, now_us(), VERSION)
    settings = LiveSettings(
        int(options.hold_back_s * NS),
        # A first recording should be there soon: the test call does not wait for a full cycle.
        int((min(options.commit_s, 1.0) if options.test_call else options.commit_s) * NS),
        int(options.media_silence_s * NS),
        options.record_unsignalled,
        int(options.part_minutes * 60 * NS),
    )
    supervisor = Supervisor(registrar, rings, settings)
    log.info("recording", interfaces=list(options.interfaces), data=str(options.data), hold_back_s=options.hold_back_s)
    try:
        asyncio.run(supervisor.run(_beside(options) if options.test_call else None))
    finally:
        supervisor.close()
    status = supervisor.status
    if status is not None:
        calls = ", ".join(f"{count} {outcome}" for outcome, count in sorted(status.outcomes.items())) or "no calls"
        log.info("stopped", packets=status.frames, calls=calls, drops=status.drops)
    return 0


def log_key_state(log: Any, data: Path) -> None:
    """Say what the archive key lacks. Where only its public half is, this box records and cannot play."""
    from vittne.appliance.seal.keys import KeysMissing, archive_key_warning  # noqa: PLC0415

    try:
        warning = archive_key_warning(data)
    except KeysMissing:
        log.info("the archive's private key is not here: what is recorded can be played elsewhere only")
        return
    if warning:
        log.warning(warning)


def _ring_size(options: RecordOptions, name: str) -> Any:
    from vittne.capture.offloads import speed_mbit  # noqa: PLC0415
    from vittne.capture.ringsize import auto_size, memory_available, size_for  # noqa: PLC0415

    if options.ring_rate is not None:
        return size_for(options.ring_rate, hold_back_s=options.hold_back_s, commit_s=options.commit_s)
    return auto_size(
        memory_available(Path("/proc/meminfo").read_text(encoding="ascii")),
        speed_mbit(name),
        rings=len(options.interfaces),
        hold_back_s=options.hold_back_s,
        commit_s=options.commit_s,
    )


def _beside(options: RecordOptions) -> Callable[[], Awaitable[None]]:
    async def place() -> None:
        from vittne.appliance.testcall import place_and_explain  # noqa: PLC0415

        await place_and_explain(options.data)

    return place
