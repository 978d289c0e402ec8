"""What the interfaces and the ring say: link, size of frames, merging, losses, silence, room.

Each check takes the facts and gives one finding, or none where there is nothing to judge.
"""

from __future__ import annotations

from typing import Final

from vittne.appliance.doctor.boxfacts import Box
from vittne.appliance.doctor.finding import Finding, listed
from vittne.appliance.saying import said
from vittne.capture.ringsize import COMFORTABLE

_LEAST_MTU: Final = 1500
_SILENT_S: Final = 300.0
_IDLE_RATE: Final = 0.1  # packets/s: less is no mirror
_SETTLED_S: Final = 30.0  # after a start
_RESERVE_S: Final = 8.0  # beside hold-back and commit: what a ring is made for (capture/ringsize.py)
_TIGHT: Final = 0.7  # of what the ring can take


def interface(box: Box) -> Finding | None:
    """Are the interfaces there, up, and with a link?"""
    if not box.cards:
        return None
    facts = {
        card.name: None
        if card.found is None
        else {
            "up": card.found.is_up,
            "link": card.found.has_link,
            "mtu": card.found.mtu,
            "promiscuous": card.found.promiscuous > 0,
            "speed_mbit": card.speed_mbit,
        }
        for card in box.cards
    }
    gone = [card.name for card in box.cards if card.found is None]
    if gone:
        words = said("There is no such interface: %(which)s.", which=", ".join(gone))
        remedy = said("`ip link` lists them; name the one that the mirror comes to in `interfaces`.")
        return Finding("interface", "bad", words, remedy, facts)
    down = [
        card.name for card in box.cards if card.found is not None and not (card.found.is_up and card.found.has_link)
    ]
    if down:
        words = said("No link: %(which)s.", which=", ".join(down))
        remedy = said("`ip link set IF up`, then the cable, the switch's port and its light.")
        return Finding("interface", "bad", words, remedy, facts)
    shy = [
        card.name
        for card in box.cards
        if box.recorder is not None and card.found and not card.found.is_loopback and not card.found.promiscuous
    ]
    if shy:
        words = said(
            "Not promiscuous: %(which)s. Packets for others, and a mirror shows nothing else, are thrown away.",
            which=", ".join(shy),
        )
        remedy = said("`ip link set IF promisc on`; the recorder asks for it when it opens the ring: restart it.")
        return Finding("interface", "bad", words, remedy, facts)
    small = [card.name for card in box.cards if card.found is not None and 0 < card.found.mtu < _LEAST_MTU]
    if small:
        words = said("The MTU is smaller than a usual packet: %(which)s.", which=", ".join(small))
        remedy = said("`ip link set IF mtu 1500`, or 9000 where a tunnel brings the mirror.")
        return Finding("interface", "warn", words, remedy, facts)
    words = said("Interfaces are up and have a link: %(which)s.", which=", ".join(card.name for card in box.cards))
    return Finding("interface", "good", words, None, facts)


def offloads(box: Box) -> Finding | None:
    """Are packets merged before they are seen?"""
    there = [card for card in box.cards if card.found is not None and not card.found.is_loopback]
    if not there:
        return None
    merging = {card.name: list(card.offloads) for card in there if card.offloads}
    if not merging:
        words = said("No card merges received packets.")
        return Finding("offloads", "good", words, None, {"merging": merging})
    command = "; ".join(
        f"ethtool -K {name} " + " ".join(f"{word} off" for word in words) for name, words in merging.items()
    )
    words = said(
        "Received packets are merged, so frames are recorded that were never on the wire: %(which)s.",
        which=", ".join(f"{name} ({', '.join(names)})" for name, names in merging.items()),
    )
    remedy = said("`%(command)s`, and keep it so over restarts (docs/doctor.md).", command=command)
    return Finding("offloads", "warn", words, remedy, {"merging": merging})


def card_losses(box: Box) -> Finding | None:
    """Does a driver count what it lost? Since it came up: perhaps long before the recorder did."""
    there = [card for card in box.cards if card.found is not None]
    if not there:
        return None
    lost: dict[str, int] = {}
    for card in there:
        assert card.found is not None
        drops = card.found.drops
        named = {"missed": drops.missed, "fifo": drops.fifo, **card.lost}
        lost.update({f"{card.name} {name}": number for name, number in named.items() if number})
    if not lost:
        return Finding("card-losses", "good", said("The cards count no lost packets."), None, {"lost": lost})
    words = said("The cards count lost packets since they came up: %(which)s.", which=listed(lost))
    remedy = said(
        "See whether it grows (`ethtool -S IF`). If it does: larger receive rings (`ethtool -g IF`, `ethtool -G IF rx "
        "N`), fewer other programs on this machine."
    )
    return Finding("card-losses", "note", words, remedy, {"lost": lost})


def mirror_silent(box: Box) -> Finding | None:
    """Does every interface of a recorder that runs receive something?"""
    live = box.recorder
    if live is None or not live.interfaces or live.running_s < _SETTLED_S:
        return None
    facts = {"quiet_s": None if live.quiet_s is None else round(live.quiet_s, 1), "packets_per_s": live.rates}
    remedy = said(
        "Look at the mirror session of the switch: after its restart, or a change of VLANs, it is often gone. "
        "`vittne doctor --interface IF` shows what comes."
    )
    if live.quiet_s is not None and live.quiet_s > _SILENT_S:
        words = said("No packet has come for %(minutes)s minutes.", minutes=int(live.quiet_s // 60))
        return Finding("mirror-silent", "bad", words, remedy, facts)
    idle = [name for name in live.interfaces if live.rates.get(name, 1.0) < _IDLE_RATE]
    if idle and len(idle) < len(live.interfaces):
        words = said(
            "One of several interfaces receives nothing: %(which)s. Behind a passive tap it is one direction of every "
            "call.",
            which=", ".join(idle),
        )
        return Finding("mirror-silent", "bad", words, remedy, facts)
    words = said("Packets come: %(rate)s a second.", rate=round(live.packets_per_s))
    return Finding("mirror-silent", "good", words, None, facts)


def ring(box: Box) -> Finding | None:
    """Does the ring hold what comes, as long as audio is held back?"""
    rings = {card.name: card.ring for card in box.cards if card.ring is not None}
    if not rings:
        return None
    seconds = box.config.hold_back_s + box.config.commit_s + _RESERVE_S
    can = {name: size.packets_per_s(seconds) for name, size in rings.items()}
    live = box.recorder
    rates = live.rates if live is not None else {}
    facts = {
        "packets_per_s_most": can,
        "packets_per_s": rates,
        "occupancy": None if live is None else round(live.occupancy, 4),
        "hold_back_s": box.config.hold_back_s,
        "size_bytes": {name: size.size_bytes for name, size in rings.items()},
    }
    if live is not None and live.occupancy > COMFORTABLE:
        words = said("The ring is %(percent)s %% full: packets will be lost.", percent=round(100 * live.occupancy))
        remedy = said("Look at disk-speed; a larger ring: [ring] packets_per_s = %(rate)s.", rate=2 * max(can.values()))
        return Finding("ring", "bad", words, remedy, facts)
    tight = [name for name, most in can.items() if rates.get(name, 0.0) > _TIGHT * most]
    if tight:
        words = said("More comes than the ring is made for: %(which)s.", which=", ".join(tight))
        need = round(1.5 * max(rates[name] for name in tight))
        remedy = said("[ring] packets_per_s = %(rate)s, and restart.", rate=need)
        return Finding("ring", "warn", words, remedy, facts)
    words = said(
        "The ring takes %(rate)s packets a second for %(seconds)s s of hold-back, writing and reserve.",
        rate=min(can.values()),
        seconds=f"{seconds:g}",
    )
    return Finding("ring", "good", words, None, facts)


CARD_CHECKS: Final = (interface, mirror_silent, card_losses, ring, offloads)
