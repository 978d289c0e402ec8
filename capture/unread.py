"""What a mirror shows that is not read here: told by numbers and ports, and only counted.

A tap that carries another protocol's signalling, or a tunnel that nobody opens here, looks like an empty one. So
what is passed over is named, for whoever asks what is wrong with it: by EtherType, by IP protocol, by UDP port; TCP
connections are named where they are judged (sip/judge.py). Source: IANA's registries of these numbers.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from vittne.capture.columns import I64, U8, U16

_MOST_NAMES: Final = 48  # numbers are what senders like: further ones share a name

# Whose signalling it is, or which tunnel it may be. UDP ports that mean one thing on a voice network.
UDP_NAMES: Final = {
    1719: "h323",
    2427: "mgcp",
    2727: "mgcp",
    2944: "megaco",
    2945: "megaco",
    4569: "iax2",
    1701: "l2tp",
    3544: "teredo",
    4500: "ipsec",
    4754: "gre in udp",
    4790: "vxlan-gpe",
    5247: "capwap",
    9060: "hep",
    37008: "tzsp",
    51820: "wireguard",
}
_WORDS: Final = sorted(set(UDP_NAMES.values()))
_BY_PORT: Final = np.zeros(65_536, np.uint8)
for _port, _name in UDP_NAMES.items():
    _BY_PORT[_port] = 1 + _WORDS.index(_name)


def count_numbers(counters: Counter[str], what: str, numbers: I64, places: int) -> None:
    """Count rows by a number that nobody reads here, as `unread WHAT 0x88cc`; (n,) of any integers."""
    found, times = np.unique(numbers, return_counts=True)
    for number, count in zip(found.tolist(), times.tolist(), strict=True):
        counters[_bounded(counters, f"unread {what} ", f"0x{number:0{places}x}" if places else str(number))] += count


def count_datagrams(counters: Counter[str], sport: U16, dport: U16) -> None:
    """Count datagrams that are neither SIP nor media by what their ports say they are, as `unread udp NAME`."""
    number = np.maximum(_BY_PORT[sport], _BY_PORT[dport])
    for place, count in enumerate(np.bincount(number, minlength=len(_WORDS) + 1).tolist()[1:]):
        if count:
            counters[f"unread udp {_WORDS[place]}"] += count


def count_port(counters: Counter[str], port: int) -> None:
    """Count a message of SIP by the port of who was asked, as `sip port 5060`."""
    counters[_bounded(counters, "sip port ", str(port))] += 1


def count_dtls(counters: Counter[str], head: U8) -> None:
    """Count datagrams that are DTLS and not only begin like it. head: (n, 16) of their first bytes (RFC 6347 4.1)."""
    records = int(np.count_nonzero((head[:, 1] == 0xFE) & (head[:, 0] >= 20) & (head[:, 0] <= 25)))
    if records:
        counters["dtls records"] += records


def _bounded(counters: Counter[str], before: str, number: str) -> str:
    name = before + number
    if name in counters:
        return name
    if before + "other" not in counters and sum(one.startswith(before) for one in counters) < _MOST_NAMES:
        return name
    return before + "other"
