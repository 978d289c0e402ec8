"""Checks of what proves something: ledger, trail, stamps, clock, copies elsewhere, keys, transport."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

from sqlalchemy import func, select

from vittne.appliance.api.tls import server_context
from vittne.appliance.audit_command import disagreements
from vittne.appliance.clock.history import greatest
from vittne.appliance.compliance.finding import MET, NO_DATA, NOT_COVERED, NOT_MET, Finding, many, met_if
from vittne.appliance.compliance.keyfacts import keys_lack
from vittne.appliance.compliance.looking import Looking
from vittne.appliance.seal import events
from vittne.appliance.stamps.standing import standings
from vittne.appliance.store.audit import AuditTable
from vittne.appliance.store.tables import audit, tokens
from vittne.appliance.store.times import rfc3339

_RTS25_US: Final = 1_000_000
_UNUSED_US: Final = 90 * 86_400_000_000
_NAMED: Final = 3


def ledger_whole(at: Looking) -> Finding:
    """The ledger was read through just now: every entry, tile and checkpoint agrees."""
    if at.ledger.broken:
        return met_if(False, at.ledger.broken)
    inside = sum(at.ledger.counts.values())
    words = f"{many(at.ledger.size, 'entry', 'entries')} read and hashed anew, root {at.ledger.root[:16]}…"
    return met_if(True, words, f"{inside} of them in this time")


def trail(at: Looking) -> Finding:
    """Who looked at what and who changed what is written down, and each row is the one that the ledger fixed."""
    rows = list(AuditTable(at.catalogue).search())
    if not rows and not at.ledger.rows and not at.ledger.broken:
        return Finding(NO_DATA, ("nobody did anything yet",))
    wrong = list(disagreements(rows, at.ledger.rows))
    words = f"{many(len(rows), 'row')} of the trail held against {many(len(at.ledger.rows), 'entry', 'entries')}: "
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(at.kinds.items()))
    told = f"in this time: {kinds}" if kinds else "nobody did anything in this time"
    broken = f"the ledger cannot be believed: {at.ledger.broken}" if at.ledger.broken else ""
    return met_if(not wrong and not broken, words + f"{len(wrong)} do not agree", *wrong[:_NAMED], told, broken)


def trail_age(at: Looking) -> Finding:
    """The trail is kept: since when it goes back."""
    with at.catalogue.reading() as connection:
        first = connection.execute(select(func.min(audit.c.at_us))).scalar()
    if first is None:
        return Finding(NO_DATA, ("nobody did anything yet",))
    kept = "no command and no timer deletes a row; an erasure empties what names a party"
    return met_if(True, f"the oldest row is of {rfc3339(int(first))[:19]}", kept)


def stamped(at: Looking) -> Finding:
    """Third parties vouch for the time of the ledger's checkpoints."""
    found = standings(at.data, at.config.stamps, at.now_us)
    if not found:
        return met_if(False, "no time stamping authority is configured: all times are this machine's own")
    words = []
    for one in found:
        newest = "no stamp yet" if one.stamped_us is None else f"newest of {rfc3339(one.stamped_us)[:19]}"
        words.append(f"{one.authority}: {many(one.stamps, 'stamp')}, {newest}{', late' if one.late else ''}")
    return met_if(not any(one.late for one in found), *words)


def copied(at: Looking) -> Finding:
    """The trail is copied elsewhere: its rows are not; checkpoints, which show that rows were altered, may be."""
    config = at.config.ledger
    names = [f"{one.name} (syslog)" for one in config.syslog] + [f"{one.name} (mail)" for one in config.mail]
    names += [f"{one.name} (directory)" for one in config.directory]
    names += [f"{one.name} (witness)" for one in config.witness]
    rows = "the program copies no row of the trail to another machine in this version"
    if not names:
        return Finding(NOT_COVERED, (rows, "nor checkpoints of the ledger: none of [ledger] is configured"))
    return Finding(NOT_COVERED, (rows, f"checkpoints, which show that rows were altered, go to {', '.join(names)}"))


def clock_within(bound_us: int | None) -> Callable[[Looking], Finding]:
    """Return a check that the clock was never further from UTC. None: than is configured."""

    def check(at: Looking) -> Finding:
        allowed = round(at.config.clock.max_error_ms * 1000) if bound_us is None else bound_us
        worst = greatest(at.ledger.of(events.CLOCK))
        if not worst.samples:
            return Finding(NO_DATA, ("the ledger has no entry about the clock in this time",))
        words = f"{many(worst.samples, 'entry', 'entries')} about it, {worst.unsynchronised} of them not synchronised"
        far = worst.max_error_us
        told = (
            ""
            if far is None
            else f"at most {far / 1000:.3f} ms from UTC while synchronised; {allowed / 1000:g} ms allowed"
        )
        return met_if(not worst.unsynchronised and far is not None and far <= allowed, words, told)

    return check


clock_as_configured = clock_within(None)
clock_rts25 = clock_within(_RTS25_US)


def nobody_in_the_ledger(at: Looking) -> Finding:
    """No entry holds a telephone number or an address."""
    if at.ledger.broken:
        return met_if(False, at.ledger.broken)
    words = f"{many(at.ledger.size, 'entry', 'entries')} searched for seven digits in a row, or an @"
    return met_if(not at.ledger.suspects, words, *at.ledger.suspects[:_NAMED])


def keys(at: Looking) -> Finding:
    """The keys that open recordings are protected, and somebody opened their backup."""
    lacks = keys_lack(at.data)
    return met_if(not lacks, lacks or "the archive key has a passphrase and a backup that was proven by opening it")


def key_changes(at: Looking) -> Finding:
    """Keys are renewed, and what erasures left of them is destroyed. Only where the program can."""
    kinds = [kind for kind in events.MEMBERS if kind.startswith("key.")]
    if not kinds:
        return Finding(NOT_COVERED, ("one archive key for all recordings; it is not renewed",))
    words = ", ".join(f"{kind} {at.ledger.ever[kind]}" for kind in kinds)
    return met_if(bool(at.ledger.ever["key.rotate"] or at.ledger.ever["key.epoch"]), f"of all times: {words}")


def encrypted_transport(at: Looking) -> Finding:
    """The API speaks TLS 1.2 or newer only."""
    if not at.config.api.enabled:
        return met_if(True, "the API is switched off: nothing listens")
    least = server_context().minimum_version
    where = ", ".join(f"{address}:{at.config.api.port}" for address in at.config.api.listen)
    own = "" if at.config.api.certificate else "its certificate is its own, signed by nobody else"
    return met_if(
        least >= ssl.TLSVersion.TLSv1_2, f"{where}: {least.name.replace('_', '.')} at least, no plain HTTP", own
    )


def access(at: Looking) -> Finding:
    """Who may do what: in this version tokens of the API only."""
    with at.catalogue.reading() as connection:
        rows = connection.execute(select(tokens).where(tokens.c.revoked_us.is_(None))).all()
    live = [row for row in rows if row.expires_us is None or row.expires_us > at.now_us]
    endless = sum(row.expires_us is None for row in live)
    unused = sum(at.now_us - (row.last_used_us or row.created_us) > _UNUSED_US for row in live)
    words = f"{many(len(live), 'token')} of the API in force, {endless} without an end, {unused} unused for 90 days"
    people = "accounts, roles, a second factor and idle time-outs are not in this version: the command line trusts the "
    return Finding(NOT_COVERED, (people + "operating system's accounts", words))


def looked_at(at: Looking) -> Finding:
    """Copies can be given, each entered in the trail before it was made."""
    plays, copies = at.kinds[events.PLAYED], at.kinds[events.EXPORTED]
    if not plays + copies:
        return Finding(NO_DATA, ("nobody listened and no copy was made in this time",))
    words = f"{many(copies, 'copy', 'copies')} made, listened {many(plays, 'time')}"
    return Finding(MET, (words, "a bundle carries the trail of its recordings"))


def cuts(at: Looking) -> Finding:
    """Whatever was altered of a recording can be seen, and what it was before."""
    found = at.ledger.of(events.CUT)
    corrections = at.kinds[events.CORRECTED]
    allowed = at.kinds[events.CUT_ALLOWED]
    if not found and not corrections:
        return Finding(NO_DATA, ("nothing was cut out of a recording or corrected in this time",))
    words = (
        f"{many(len(found), 'cut')} in the ledger, {allowed} allowed in the trail, {many(corrections, 'correction')}"
    )
    kept = "a correction keeps the value before; a manifest names the one that it replaces"
    return met_if(len(found) <= allowed, words, kept)


def recreated(at: Looking) -> Finding:
    """Originals can be made again: not of a recording out of which something was cut."""
    number = at.ledger.ever[events.CUT]
    if not number:
        return Finding(MET, ("no recording was ever cut: each is the original", "corrections keep the value before"))
    words = f"{many(number, 'cut')} of all times: what was cut out was destroyed, as PCI DSS 3.3.1 asks"
    return Finding(NOT_MET, (words, "each cut names who, when, why, and the version before in ledger and manifest"))
