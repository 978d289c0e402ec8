"""`vittne record`: from interfaces or capture files to sealed recordings."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vittne.appliance.config import Config
from vittne.appliance.pauseconfig import settings as pause_settings
from vittne.appliance.ruleconfig import refuse_anybody
from vittne.appliance.store.errors import StoreError
from vittne.appliance.version import VERSION

if TYPE_CHECKING:
    from vittne.appliance.livesettings import LiveSettings
    from vittne.appliance.service.kept import Kept
    from vittne.appliance.service.manager import ServiceManager
    from vittne.capture.ringopen import RingHandle

NS: Final = 1_000_000_000
API_SOCKET: Final = "vittne-api"  # what systemd/vittne.socket calls those that it opened for us


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """What to record from, and how. pcaps: capture files instead of the configuration's interfaces; file: its own.

    read: reads the configuration once more; None where it cannot change.
    """

    config: Config
    pcaps: tuple[str, ...] = ()
    test_call: bool = False
    file: Path | None = None
    read: Callable[[], Config] | None = None

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Where to capture; nowhere when files are read."""
        return () if self.pcaps else self.config.interfaces


class RecordError(StoreError):
    """Recording cannot begin."""


def run(options: RecordOptions) -> int:
    """Record until the files end or somebody stops us; return the exit status."""
    from vittne.appliance.configtrail import note_config  # noqa: PLC0415
    from vittne.appliance.life.settings import life_policy  # noqa: PLC0415 - only what this command needs is loaded
    from vittne.appliance.policy.decide import policy_rules  # noqa: PLC0415
    from vittne.appliance.recover import recover  # noqa: PLC0415
    from vittne.appliance.registrar import Registrar  # noqa: PLC0415
    from vittne.appliance.seal import events  # noqa: PLC0415
    from vittne.appliance.service.kept import take  # noqa: PLC0415
    from vittne.appliance.service.manager import service_manager  # noqa: PLC0415
    from vittne.appliance.snapshot import Snapshots  # noqa: PLC0415
    from vittne.appliance.standstill import last_sign_of_life, note_standstill  # noqa: PLC0415
    from vittne.appliance.store.files import Store  # noqa: PLC0415
    from vittne.appliance.store.lock import DataLock  # noqa: PLC0415
    from vittne.appliance.store.times import now_us  # noqa: PLC0415
    from vittne.appliance.verdicts.alarms import UnannouncedAlarms  # noqa: PLC0415
    from vittne.appliance.worker import (  # noqa: PLC0415
        allow_many_files,
        keep_memory,
        keep_to_ourselves,
        lock_much_memory,
    )

    if bool(options.interfaces) == bool(options.pcaps):
        raise RecordError("nothing to record from", "record", "give --interface or --pcap, one of the two")
    refuse_anybody(options.config.rules)
    if not options.pcaps and not sys.stderr.isatty():  # at a terminal a hang-up ends us, as it does others
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until somebody listens to it
    allow_many_files()
    keep_memory()
    keep_to_ourselves()
    lock_much_memory()
    Store(options.config.data).close()  # makes the directory
    with DataLock(options.config.data, "recording"):
        registrar = Registrar(options.config.data, policy_rules(options.config), bool(options.config.keys.fips))
        registrar.life_policy = life_policy(options.config.approval, options.config.store, options.config.classes)
        try:
            _check_keys(options.config, registrar)
            manager = service_manager(os.environ)
            kept = take(manager, options.config.data, options.interfaces)
            goes_on = kept is not None and Snapshots(kept.memory).read() is not None
            finished = recover(registrar, goes_on)
            is_gap = False
            if kept is None:
                is_gap = note_standstill(registrar, now_us())
            elif last_sign_of_life(registrar) is not None:  # it was killed; but its rings went on
                registrar.ledger.record({"t": events.CRASH, "run": 0, "cut": 0, "recordings": 0})
            note_config(registrar, options.config)
            if finished:
                print(f"finished {len(finished)} recordings that an earlier run left open", file=sys.stderr)
            if options.pcaps:
                return _files(options, registrar)
            number = options.config.unannounced.calls
            registrar.unannounced = UnannouncedAlarms(
                options.config.unannounced, registrar.verdicts.last_expected(number)
            )
            return _live(options, registrar, manager, kept, is_gap)
        finally:
            registrar.close()


def _check_keys(config: Config, registrar: Any) -> None:
    """Refuse to begin where the FIPS profile was asked for and is not to be had. Raises NotApproved."""
    if not config.keys.fips:
        return
    from vittne.appliance.keyring.selftest import check_keys, check_profile  # noqa: PLC0415

    for warning in check_profile(config.keys.fips):
        print(f"warning: {warning}", file=sys.stderr)
    check_keys(config.data, registrar.ledger.key.verifier)


def _files(options: RecordOptions, registrar: Any) -> int:
    from vittne.appliance.announcements.active import active  # noqa: PLC0415
    from vittne.appliance.capturesettings import capture_settings  # noqa: PLC0415
    from vittne.appliance.replay import FileRun, capture_files  # noqa: PLC0415
    from vittne.appliance.samplingkey import sampling_key  # noqa: PLC0415
    from vittne.appliance.store.times import now_us  # noqa: PLC0415
    from vittne.capture.pcapfile import CaptureFileError  # noqa: PLC0415

    config = options.config
    # Calls are found garbage seldom and in great numbers: looking for it at every allocation costs a tenth.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    settings = capture_settings(config, sampling_key(config.data))
    paths = list(options.pcaps)
    run = FileRun(
        registrar,
        settings,
        int(config.part_minutes * 60 * NS),
        processes=config.analysis.processes,
        references=active(registrar.catalogue, now_us()),
    )
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


def _live(options: RecordOptions, registrar: Any, manager: ServiceManager, kept: Kept | None, is_gap: bool) -> int:
    import structlog  # noqa: PLC0415

    from vittne.appliance import log as logging  # noqa: PLC0415
    from vittne.appliance.beside import beside  # noqa: PLC0415
    from vittne.appliance.events.hub import Hub  # noqa: PLC0415
    from vittne.appliance.live.desk import LiveDesk  # noqa: PLC0415
    from vittne.appliance.livesettings import LiveSettings  # noqa: PLC0415
    from vittne.appliance.lostpauses import note_lost_pauses  # noqa: PLC0415
    from vittne.appliance.pausedesk import PauseDesk  # noqa: PLC0415
    from vittne.appliance.policy.decide import policy_rules  # noqa: PLC0415
    from vittne.appliance.reloading import Reloader  # noqa: PLC0415
    from vittne.appliance.service.service import Service  # noqa: PLC0415
    from vittne.appliance.store.times import now_us  # noqa: PLC0415
    from vittne.appliance.supervisor import Supervisor  # noqa: PLC0415
    from vittne.capture.offloads import offload_warning  # noqa: PLC0415

    config = options.config
    hub = Hub(options.interfaces)
    logging.set_up(hub.alarms.see)
    log = structlog.get_logger()
    _look_through_edge()
    rings = kept.rings if kept is not None else _open_rings(options)
    if kept is not None:
        log.info("the rings of before go on collecting: nothing was missed meanwhile", interfaces=options.interfaces)
    for name in options.interfaces:
        warning = offload_warning(name)
        if warning:
            log.warning(warning)
    log_key_state(log, config)
    if is_gap:  # the run before died: from when to when is in the ledger
        log.error("alarm: nothing was recorded for a while", reason="the recorder had stopped without being told to")
    for verdict in registrar.untold:  # on calls that ended with the last run
        registrar.unannounced.tell_one(verdict)
    registrar.untold.clear()
    for lost in note_lost_pauses(registrar, now_us()):
        words = "alarm: a pause was lost with the catalogue; its calls are recorded again"
        log.error(words, pause=lost.id, by=lost.by, since=lost.since, recordings=len(lost.recordings))
    if config.api.enabled:
        _tell_first_code(log, config, registrar)
    registrar.begin_run(options.interfaces, now_us(), VERSION)
    settings = _live_settings(_with_canary(config, registrar), options.test_call)
    service = Service(manager)
    if kept is not None:
        before = LiveSettings.from_json(kept.settings)
        service.memory, service.settings = kept.memory, before if before != settings else None
    desk = PauseDesk(registrar, config.pause)
    hub.calls.rules = policy_rules(config)
    hub.calls.is_hidden = registrar.canaries.is_canary
    live = LiveDesk(config.live, hub.note_levels)
    # At a terminal a hang-up ends us, as it does others.
    is_asked = not sys.stderr.isatty()
    reloader = Reloader(config, options.read, registrar, service) if options.read and is_asked else None
    supervisor = Supervisor(registrar, rings, settings, desk, hub, service, live)
    log.info(
        "recording",
        interfaces=list(options.interfaces),
        data=str(config.data),
        hold_back_s=config.hold_back_s,
    )
    try:
        sockets = tuple(socket.socket(fileno=fd) for fd in manager.given.get(API_SOCKET, ()))
        run = beside(config, registrar, desk, options.test_call, options.file, hub, sockets, live, reloader)
        asyncio.run(supervisor.run(run))
    finally:
        supervisor.close()
    status = supervisor.status
    if status is not None:
        calls = ", ".join(f"{count} {outcome}" for outcome, count in sorted(status.outcomes.items())) or "no calls"
        log.info("stopped", packets=status.frames, calls=calls, drops=status.drops)
    return 0


def _look_through_edge() -> None:
    from vittne.appliance.edge.machine import look_through_edge  # noqa: PLC0415

    try:
        look_through_edge()
    except OSError as error:
        raise RecordError(str(error), "vittne-edge", "start it: systemctl start vittne-edge.socket") from error


def _open_rings(options: RecordOptions) -> list[RingHandle]:
    from vittne.appliance.edge.rings import open_ring  # noqa: PLC0415
    from vittne.appliance.ringsettings import ring_size  # noqa: PLC0415
    from vittne.capture.ringopen import RingError  # noqa: PLC0415

    rings: list[RingHandle] = []
    try:
        for name in options.interfaces:
            rings.append(open_ring(name, ring_size(options.config, name)))
    except RingError as error:
        for ring in rings:
            ring.close()
        raise RecordError(str(error), ", ".join(options.interfaces), "mend it and start again") from error
    return rings


def _with_canary(config: Config, registrar: Any) -> Config:
    """Return the configuration with the rule that records canary calls first, where they are placed."""
    from vittne.appliance.canary.mark import mark_of, with_rule  # noqa: PLC0415

    if not config.canary.enabled:
        return config
    registrar.canaries.keep_days = config.canary.keep_days
    return config.model_copy(update=with_rule(config, mark_of(config.data)))


def _live_settings(config: Config, test_call: bool) -> LiveSettings:
    from vittne.appliance.hearing.detector import VERSION as VERSION_OF_DETECTOR  # noqa: PLC0415
    from vittne.appliance.livesettings import LiveSettings  # noqa: PLC0415
    from vittne.appliance.recordconfig import keeping_json  # noqa: PLC0415
    from vittne.appliance.samplingkey import sampling_key  # noqa: PLC0415

    # A first recording should be there soon: the test call does not wait for a full cycle.
    commit_s = min(config.commit_s, 1.0) if test_call else config.commit_s
    return LiveSettings(
        int(config.hold_back_s * NS),
        int(commit_s * NS),
        int(config.media_silence_s * NS),
        config.record_unsignalled,
        int(config.part_minutes * 60 * NS),
        pause_settings(config.pause, config.digits),
        config.pause.agent_headers,
        [rule.model_dump(mode="json", exclude_defaults=True) for rule in config.rules],
        config.analysis.processes,
        keeping_json(config),
        sampling_key(config.data).hex(),
        config.analysis.listen_ns,
        VERSION_OF_DETECTOR,
    )


def _tell_first_code(log: Any, config: Config, registrar: Any) -> None:
    """Print a code for the first administrator on a terminal; elsewhere say how to get one."""
    from vittne.appliance.access.first import tell_first_code  # noqa: PLC0415

    only_here = set(config.api.listen) <= {"127.0.0.1", "::1"}
    host = "localhost" if only_here else config.access.host or socket.gethostname()
    sources = {one.name for one in (*config.sign_on.oidc, *config.sign_on.ldap)}
    if tell_first_code(registrar, sys.stderr, f"https://{host}:{config.api.port}", sources):
        log.warning("nobody can log in to the console yet: `vittne user add NAME --role administrator` prints a code")


def log_key_state(log: Any, config: Config) -> None:
    """Say what keys and backups lack. Where only the public half of the archive key is, this box cannot play."""
    from vittne.appliance.backup.standing import warnings  # noqa: PLC0415
    from vittne.appliance.seal.keys import KeysMissing  # noqa: PLC0415

    try:
        lacking = warnings(config.data, config.backup)
    except KeysMissing:
        log.info("the archive's private key is not here: what is recorded can be played elsewhere only")
        return
    for words in lacking:
        log.warning(words)
