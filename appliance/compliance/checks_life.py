"""Checks of what is kept how long, on what ground, and what persons asked for; and of pauses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vittne.appliance.compliance.finding import MET, NO_DATA, Finding, many, met_if
from vittne.appliance.compliance.looking import Looking
from vittne.appliance.life.precedence import decide
from vittne.appliance.life.retention import unowned
from vittne.appliance.life.table import LifeTable
from vittne.appliance.policy.classes import Age
from vittne.appliance.policy.config import classes as classes_named
from vittne.appliance.policy.decide import policy_rules
from vittne.appliance.seal import events
from vittne.appliance.verdicts.judge import NOT_LISTENED
from vittne.appliance.verdicts.sums import Which, missing

_GRACE_US: Final = 2 * 86_400_000_000  # the timer goes once a night
_QUARANTINE_US: Final = 30 * 86_400_000_000  # longer than anybody should take to decide
_NAMED: Final = 3


def on_time(at: Looking) -> Finding:
    """What is over its greatest age goes; every recording has a class; what has no end has an owner."""
    late = [
        row
        for row in LifeTable(at.catalogue).due(at.now_us - _GRACE_US)
        if decide("expire", row.facts, at.now_us).allowed
    ]
    kept = at.kept
    nobodys = unowned(LifeTable(at.catalogue), classes_named(at.config.classes))
    classes = ", ".join(f"{name or 'none'} {count}" for name, count in sorted(kept.classes.items()))
    return met_if(
        not (late or kept.unclassed or nobodys),
        f"{many(kept.recordings, 'recording')} kept, by class: {classes}" if kept.recordings else "nothing is kept",
        f"{len(late)} overdue for two days and held by nothing" if late else "none is overdue",
        f"{many(kept.unclassed, 'recording')} without a class: nothing says when they go" if kept.unclassed else "",
        f"without end and owner: {', '.join(nobodys)}" if nobodys else "",
        f"in this time: {many(at.ledger.counts[events.RETENTION_RUN], 'run')} of the timer, "
        f"{many(at.ledger.counts[events.ERASED], 'erasure')}",
    )


def locked_for(years: int) -> Callable[[Looking], Finding]:
    """Return a check that every recording is locked for so many years from its call's end, and refused until then."""
    age, told = Age(years=years), many(years, "year")

    def check(at: Looking) -> Finding:
        ends = at.kept.ends
        if not ends:
            return Finding(NO_DATA, ("nothing is kept",))
        short = sum(locked is None or locked < age.after(ended) for ended, locked in ends)
        open_now = sum(
            decide("erase", row.facts, at.now_us).allowed
            for row in LifeTable(at.catalogue).locked()
            if row.facts.locked_until_us is not None and at.now_us < row.facts.locked_until_us
        )
        refused = at.kinds[events.ERASE_REFUSED]
        return met_if(
            not (short or open_now),
            f"{len(ends) - short} of {many(len(ends), 'recording')} locked for {told} from the call's end",
            f"{short} not: their class has no lock, or a shorter one" if short else "",
            f"{open_now} could be erased inside their lock" if open_now else "an erasure inside a lock is refused",
            f"{many(refused, 'refusal')} in this time" if refused else "",
        )

    return check


locked_1, locked_3, locked_5, locked_6, locked_7 = map(locked_for, (1, 3, 5, 6, 7))


def held(at: Looking) -> Finding:
    """What a court or an investigation needs stays: legal holds."""
    rows = LifeTable(at.catalogue).holds.rows(released=True)
    live = [(row, count) for row, count in rows if row.released_us is None]
    number = sum(count for _, count in live)
    words = f"{many(len(live), 'hold')} in force on {many(number, 'recording')}, {len(rows) - len(live)} released"
    return Finding(MET if rows else NO_DATA, (words,))


def policy_in_force(at: Looking) -> Finding:
    """What is recorded, how long and on what ground is written down, and its version is in every recording."""
    config = at.config
    rules = policy_rules(config)
    counts = f"{many(len(config.record), 'recording rule')}, {many(len(config.retention), 'retention rule')}, "
    counts += f"{many(len(config.basis), 'rule')} on lawful bases"
    version = f"version of the rules in force: {rules.version}" if rules.version else ""
    return met_if(bool(config.retention), counts, version, "" if config.retention else "no rule gives a class")


def based(at: Looking) -> Finding:
    """Every recording has a lawful basis, and consent is proven."""
    kept = at.kept
    if not kept.recordings:
        return Finding(NO_DATA, ("nothing is kept",))
    return met_if(
        not (kept.without_basis or kept.unproven or kept.without_notice),
        f"{kept.recordings - kept.without_basis} of {many(kept.recordings, 'recording')} have a lawful basis",
        f"{kept.unproven} rest on consent that nothing proves" if kept.unproven else "",
        f"{kept.without_notice} lack notice: their ground is an announcement, and none was heard"
        if kept.without_notice
        else "",
    )


def consent_first(at: Looking) -> Finding:
    """Where consent is asked for, nothing reaches the disk before it."""
    gated = [one.name for one in at.config.record if one.gate != "from-start"]
    bases = [one.name for one in at.config.basis if one.lawful_basis == "consent"]
    if not gated and not bases:
        return Finding(NO_DATA, ("no rule rests on consent",))
    words = f"gates of [[record]]: {', '.join(gated) or 'none'}; bases that are consent: {', '.join(bases) or 'none'}"
    discarded = at.coverage.total.outcomes["discarded-by-policy"]
    told = f"{many(discarded, 'call')} not kept because nobody agreed, or somebody refused"
    return met_if(bool(gated), words, told, "" if gated else "consent is a basis, and no gate waits for it")


def told_to_callers(at: Looking) -> Finding:
    """Who is recorded is told: a rule says which calls must be announced, and by what was heard they were."""
    number = at.ledger.counts[events.GATE]
    told = f"{many(number, 'decision')} on gates came over the API in this time, as the PBX or an agent said"
    total = at.announced.total
    if not at.config.announcement:
        return Finding(NO_DATA, ("no rule [[announcement]] says which calls must be announced", told))
    if not total.expected:
        return Finding(NO_DATA, ("no call of this time had to be announced", told))
    silent = total.words[NOT_LISTENED]
    words = f"{many(total.expected, 'call')} had to be announced: {total.proven} were, {total.missing} not"
    worst = sorted(at.announced.by["site"].items(), key=lambda one: -one[1].missing)[:_NAMED]
    sites = ", ".join(f"{name or '?'} {one.missing} of {one.expected}" for name, one in worst if one.missing)
    return met_if(
        not total.missing,
        words,
        f"{silent} of all calls could not be listened to" if silent else "",
        f"missing by site: {sites}" if sites else "",
        told,
    )


def objections_heard(at: Looking) -> Finding:
    """Who is recorded can say no while the call lasts: by a key, a rule, or somebody who says so over the API."""
    number = at.ledger.counts[events.GATE]
    told = f"{many(number, 'decision')} on gates came over the API in this time, as the PBX or an agent said"
    gated = [one.name for one in at.config.record if one.gate in ("after-consent", "discard-on-objection")]
    if not gated:
        return Finding(NO_DATA, ("no rule [[record]] has a gate at which somebody could object", told))
    refused = at.coverage.total.outcomes["discarded-by-policy"]
    words = f"rules with a gate that hears a no: {', '.join(gated)}"
    return Finding(MET, (words, f"{many(refused, 'call')} not kept by policy in this time", told))


def quarantined(at: Looking) -> Finding:
    """What was not announced and lies in quarantine is decided about by a person."""
    waiting = missing(at.catalogue, Which(quarantined=True))
    released = at.kinds[events.QUARANTINE_RELEASED]
    if not waiting and not released:
        return Finding(NO_DATA, ("nothing lies, or lay, in quarantine",))
    old = sum(at.now_us - (one.quarantined_us or at.now_us) > _QUARANTINE_US for one in waiting)
    return met_if(
        not old,
        f"{many(len(waiting), 'recording')} in quarantine, {many(released, 'recording')} let out in this time",
        f"{old} for more than 30 days" if old else "",
    )


def erased(at: Looking) -> Finding:
    """Erasures come to their end, each with a certificate."""
    number = at.ledger.counts[events.ERASED]
    open_ones = LifeTable(at.catalogue).unfinished_erasures()
    waiting = f"{many(len(open_ones), 'erasure')} begun and not finished" if open_ones else ""
    refused = f"{many(at.kinds[events.ERASE_REFUSED], 'refusal')}, each with its rule"
    if not number and not open_ones:
        return Finding(NO_DATA, ("nothing was erased in this time", refused))
    return met_if(
        not open_ones, f"{many(number, 'erasure')} in this time, each with a signed certificate", refused, waiting
    )


def restricted(at: Looking) -> Finding:
    """What is restricted is kept and not used."""
    refused = at.kinds[events.LOOK_REFUSED]
    if not at.kept.restricted and not at.kinds[events.RESTRICTED]:
        return Finding(NO_DATA, ("no recording is restricted",))
    return Finding(
        MET, (f"{many(at.kept.restricted, 'recording')} restricted now; {many(refused, 'look')} refused in this time",)
    )


def corrected(at: Looking) -> Finding:
    """What was entered wrongly is shown rightly; what is sealed stays."""
    number = at.kinds[events.CORRECTED]
    if not number:
        return Finding(NO_DATA, ("nothing was corrected in this time",))
    return Finding(MET, (f"{many(number, 'correction')} in this time, the value before kept in each",))


def no_card_data(at: Looking) -> Finding:
    """Pauses keep card data off the disk: how they went. What was said in no pause nobody can see from here."""
    pauses = at.pauses
    digits = at.config.digits
    changed = digits.model_dump(mode="json", exclude_defaults=True) or "as by default"
    held_back = f"audio is {at.config.hold_back_s:g} s in memory only; digits: {changed}"
    blind = "whether a pause was asked for whenever a card was read out is not seen from here"
    cut = at.ledger.counts[events.CUT]
    if not pauses:
        return Finding(NO_DATA, ("no pause was asked for in this time", held_back, blind))
    late = sum(bool(one.get("incomplete_at")) for one in pauses)
    unconfirmed = sum(bool(one.get("unconfirmed")) for one in pauses)
    overdue = sum(bool(one.get("overdue")) for one in pauses)
    words = f"{many(len(pauses), 'pause')}: {late} came too late for part of their time, "
    words += f"{unconfirmed} not confirmed, {overdue} overdue"
    return met_if(
        late <= cut and not unconfirmed,
        words,
        f"{many(cut, 'cut')} afterwards" if late or cut else "",
        held_back,
        blind,
    )
