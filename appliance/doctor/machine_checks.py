"""What the machine around the recorder says: clock, disk, memory, files, certificate, keys, the recorder itself.

Each check takes the facts and gives one finding, or none where there is nothing to judge.
"""

from __future__ import annotations

from typing import Final

from vittne.appliance.doctor.boxfacts import Box
from vittne.appliance.doctor.finding import Finding, Weight
from vittne.appliance.events.state import STALE_S
from vittne.appliance.saying import counted, said

_PACKET_BYTES: Final = 230  # of G.711 with 20 ms, sealed, with its header and time
_TIMES: Final = 3.0  # faster than the load a disk should be
_SLOW_S: Final = 1.0  # a sync; after 2 s a recording's file is given up
_FULL_SHARE: Final = 0.05
_SOON_DAYS: Final = 30.0
_VERY_SOON_DAYS: Final = 7.0
_RENEW_DAYS: Final = 30.0
_MIB: Final = 1 << 20
_GIB: Final = 1 << 30


def recorder(box: Box) -> Finding:
    """Does a recorder run, and does it speak?"""
    live = box.recorder
    if live is None:
        facts = {"running": False, "holder": box.holder}
        if box.holder:
            words = said("The data directory is in use by %(holder)s, which does not say how it is.", holder=box.holder)
            remedy = said("If it is a recorder, ask for its log (`journalctl -u vittne`) and restart it.")
            return Finding("recorder", "warn", words, remedy, facts)
        words = said("No recorder runs on this data directory.")
        remedy = said("`systemctl start vittne`, or `vittne record`; `--data` names another directory.")
        return Finding("recorder", "warn" if box.config.interfaces else "note", words, remedy, facts)
    told = live.told_s_ago
    facts = {
        "running": True,
        "told_s_ago": None if told is None else round(told, 1),
        "worker_starts": live.workers,
        "running_s": round(live.running_s),
        "calls": live.live_calls,
    }
    log = said("Read its log: `journalctl -u vittne -p warning`.")
    if told is None or told > STALE_S:
        words = said("The recorder runs, but what captures has not said a word for long.")
        return Finding("recorder", "bad" if live.running_s > STALE_S else "note", words, log, facts)
    if live.workers > 1:
        words = counted(
            "The recorder runs; what captures died and was started anew %(num)s time.",
            "The recorder runs; what captures died and was started anew %(num)s times.",
            live.workers - 1,
        )
        return Finding("recorder", "warn", words, log, facts)
    words = counted(
        "The recorder runs; %(num)s call is up.", "The recorder runs; %(num)s calls are up.", live.live_calls
    )
    return Finding("recorder", "good", words, None, facts)


def alarms(box: Box) -> Finding | None:
    """Do alarms stand?"""
    if box.recorder is None:
        return None
    names = list(box.recorder.alarms)
    if not names:
        return Finding("alarms", "good", said("No alarm stands."), None, {"standing": names})
    words = said("Alarms stand: %(which)s.", which=", ".join(names))
    remedy = said("docs/alarms.md says of each what to do; the console's page Now shows since when.")
    return Finding("alarms", "warn", words, remedy, {"standing": names})


def clock(box: Box) -> Finding | None:
    """Is the clock right?"""
    state, bound_us = box.clock, box.config.clock.max_error_ms * 1000
    if state is None:
        return None
    facts = {**state.as_json(), "max_error_allowed_us": round(bound_us)}
    if state.source == "unknown":
        words = said("Nobody may be asked about the clock here.")
        return Finding("clock", "note", words, said("Ask where it may be: `vittne clock`."), facts)
    if not state.synchronised:
        words = said("The clock is not synchronised: times in recordings prove nothing (MiFID II, RTS 25).")
        remedy = said("Install chrony and give it a time source: `apt install chrony`, then `chronyc tracking`.")
        return Finding("clock", "bad", words, remedy, facts)
    if state.exceeds(bound_us):
        words = said(
            "The clock may be %(error)s ms from UTC; %(allowed)s ms are allowed.",
            error=f"{state.max_error_us / 1000:.1f}",
            allowed=f"{bound_us / 1000:g}",
        )
        remedy = said("A nearer or better time source for chrony (docs/time.md), or another clock.max_error_ms.")
        return Finding("clock", "warn", words, remedy, facts)
    words = said("The clock is right to %(error)s ms.", error=f"{state.max_error_us / 1000:.1f}")
    return Finding("clock", "good", words, None, facts)


def disk_space(box: Box) -> Finding | None:
    """When is the disk full?"""
    space = box.space
    if space is None:
        return None
    facts = space.model_dump()
    free, days = space.free_bytes / max(1, space.total_bytes), space.days_left
    remedy = said(
        "A shorter retention (docs/retention.md), copies elsewhere with store.keep_local (docs/storage.md), or a "
        "larger disk."
    )
    shown = f"{space.free_bytes / _GIB:.1f}"
    if days is None:
        words = said("%(free)s GiB are free; how long that lasts is known after a day of recording.", free=shown)
        return Finding(
            "disk-space", "bad" if free < _FULL_SHARE else "good", words, remedy if free < _FULL_SHARE else None, facts
        )
    words = said(
        "%(free)s GiB are free: enough for %(days)s days at the pace of the last ones.", free=shown, days=f"{days:.0f}"
    )
    weight: Weight = "good"
    if free < _FULL_SHARE or days < _VERY_SOON_DAYS:
        weight = "bad"
    elif days < _SOON_DAYS:
        weight = "warn"
    return Finding("disk-space", weight, words, None if weight == "good" else remedy, facts)


def disk_speed(box: Box) -> Finding | None:
    """Does the disk take what comes?"""
    if box.disk_problem:
        words = said("Nothing can be written to the data directory: %(reason)s.", reason=box.disk_problem)
        remedy = said("See whether the disk is full or read-only (`mount`, `dmesg`), and whose the directory is.")
        return Finding("disk-speed", "bad", words, remedy, {"problem": box.disk_problem})
    speed = box.speed
    if speed is None:
        return None
    rate = box.recorder.packets_per_s if box.recorder is not None else 0.0
    load = rate * _PACKET_BYTES
    facts = {
        "bytes_per_s": round(speed.bytes_per_s),
        "worst_sync_s": round(speed.worst_s, 4),
        "load_bytes_per_s": round(load),
        "written": speed.written,
    }
    words = said(
        "The disk takes %(speed)s MiB/s, synced, with %(worst)s ms at worst; packets bring %(load)s MiB/s.",
        speed=f"{speed.bytes_per_s / _MIB:.0f}",
        worst=f"{1000 * speed.worst_s:.0f}",
        load=f"{load / _MIB:.1f}",
    )
    remedy = said("A faster disk (SSD), or one of its own for the data directory; `iostat -x 1` shows who else writes.")
    if speed.bytes_per_s < load:
        return Finding("disk-speed", "bad", words, remedy, facts)
    if speed.bytes_per_s < _TIMES * load or speed.worst_s > _SLOW_S:
        return Finding("disk-speed", "warn", words, remedy, facts)
    return Finding("disk-speed", "good", words, None, facts)


def permissions(box: Box) -> Finding:
    """Is what is private private?"""
    facts = {"open": list(box.open_files)}
    if not box.open_files:
        return Finding("permissions", "good", said("Nobody else may read keys and recordings."), None, facts)
    words = said("Others on this machine may read: %(which)s.", which=", ".join(box.open_files[:4]))
    remedy = said("`chmod go-rwx %(which)s`", which=" ".join(box.open_files))
    return Finding("permissions", "bad", words, remedy, facts)


def certificate(box: Box) -> Finding | None:
    """Is the API's certificate good for some time?"""
    if box.certificate_problem:
        words = said("The API's certificate cannot be used: %(reason)s", reason=box.certificate_problem)
        remedy = said("Set api.certificate and api.key to files in PEM (docs/api.md), or take both out.")
        return Finding("certificate", "bad", words, remedy, {})
    days = box.certificate_days
    if days is None:
        return None
    facts = {"days_left": round(days, 1), "is_own": box.is_own}
    remedy = said(
        "Our own is renewed by itself while the recorder runs; one that was given has to be replaced, and the API "
        "takes the new file by itself."
    )
    if days < 0:
        return Finding("certificate", "bad", said("The API's certificate has ended."), remedy, facts)
    words = said("The API's certificate ends in %(days)s days.", days=int(days))
    if days < _RENEW_DAYS and not box.is_own:
        return Finding("certificate", "warn", words, remedy, facts)
    return Finding("certificate", "good", words, None, facts)


def keys(box: Box) -> Finding:
    """Is the archive's key safe, and open where somebody wants to listen?"""
    state = box.recorder.keys if box.recorder is not None else "unknown"
    facts = {"state": state if box.has_keys else "elsewhere", "lacking": list(box.lacking)}
    if not box.has_keys:
        words = said("The archive's private key is not here: what is recorded is played elsewhere.")
        return Finding("keys", "good", words, None, facts)
    if box.lacking:
        words = said("The archive's key could be lost or stolen: %(why)s", why="; ".join(box.lacking))
        remedy = said(
            "`vittne keys passphrase`, `vittne keys backup`, a [backup] target, `vittne restore --drill`: docs/keys.md."
        )
        return Finding("keys", "warn", words, remedy, facts)
    if state == "locked":
        words = said("The archive's key is locked: it records, and nobody can listen.")
        return Finding("keys", "note", words, said("`vittne keys unlock`, or the console's page Keys."), facts)
    words = said("The archive's key is protected, and a backup of it was tried.")
    return Finding("keys", "good", words, None, facts)


def locked_memory(box: Box) -> Finding | None:
    """May calls that wait for a decision be held in memory that is never swapped?"""
    wanted = box.config.gate.total_mib * _MIB
    has_gates = any(rule.gate != "from-start" for rule in box.config.record)
    if not has_gates or box.recorder is not None:
        return None
    facts = {"wanted_bytes": wanted, "allowed_bytes": box.locked_bytes}
    if box.locked_bytes is None or box.locked_bytes >= wanted:
        words = said("Memory for calls that wait for a decision may be locked.")
        return Finding("locked-memory", "good", words, None, facts)
    words = said(
        "Only %(may)s MiB of memory may be locked, and gates may need %(wanted)s MiB.",
        may=box.locked_bytes // _MIB,
        wanted=wanted // _MIB,
    )
    remedy = said("LimitMEMLOCK=infinity in the unit (it is in ours), or `ulimit -l unlimited` in a shell.")
    return Finding("locked-memory", "warn", words, remedy, facts)


MACHINE_CHECKS: Final = (
    *(recorder, alarms, clock, disk_space, disk_speed),
    *(permissions, certificate, keys, locked_memory),
)
