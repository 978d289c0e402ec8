"""What each reason for which packets were not recorded means, in a sentence, and what to do (docs/operator.md).

weight: lost (something of calls may be missing), look (it may be wanted, somebody should look), fine (no loss).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Weight = Literal["lost", "look", "fine"]


@dataclass(frozen=True, slots=True)
class DropWords:
    """Words are English; a page translates them."""

    weight: Weight
    words: str
    remedy: str = ""


_FLOOD: Final = "It is a flood or an attack if it goes on: find out where it comes from."
_MIRROR: Final = "The mirror port loses packets: look at the switch, and at its load."
UNKNOWN: Final = DropWords("look", "Packets that were not recorded for this reason.", "See the operator's guide.")
# Layer and reason as `layer: reason`; the first that fits.
_TABLE: Final[tuple[tuple[str, DropWords], ...]] = (
    (
        r"kernel: .*",
        DropWords(
            "lost",
            "The recorder could not keep up: packets of calls were thrown away by the kernel.",
            "Give it a larger ring (ring.packets_per_s), a faster disk, or fewer offloads on the card.",
        ),
    ),
    (
        r"network card: .*",
        DropWords(
            "lost",
            "The network card lost packets before anybody saw them.",
            "Make the card's receive rings larger (ethtool -G), or use a card made for this rate.",
        ),
    ),
    (r"frames: (arp|not ip|other ip protocol|udp|tcp.*)", DropWords("fine", "Other traffic that is no call.")),
    (r"frames: reassembled.*", DropWords("fine", "Datagrams put together out of fragments: nothing is missing.")),
    (
        r"frames: encrypted",
        DropWords("look", "Traffic inside IPsec, which nobody can read here.", "Mirror it before it is encrypted."),
    ),
    (
        r"frames: ((fragment )?truncated|bad header|(fragment )?bad length|length behind.*|udp length.*)",
        DropWords("lost", "Packets arrived cut or broken.", "Check the mirror's MTU: a tunnel needs more than 1500."),
    ),
    (r"frames: fragment timeout", DropWords("lost", "A part of a packet never came.", _MIRROR)),
    (r"frames: fragment (memory|conflict)", DropWords("look", "Too many packets in parts at once.", _FLOOD)),
    (r"frames: fragment repeat", DropWords("fine", "The mirror shows parts of packets twice.")),
    (
        r"tcp: (tcp: holes|.*bytes passed over)",
        DropWords("lost", "Bytes of signalling were missing and skipped.", _MIRROR),
    ),
    (r"tcp: tcp: connections over.*", DropWords("look", "More connections at once than are followed.", _FLOOD)),
    (r"tcp: websocket: (control frames|keep-alives)", DropWords("fine", "Signs of life of connections.")),
    (
        r"tcp: websocket.*",
        DropWords("look", "Broken WebSocket frames.", "Look at the connection with Wireshark."),
    ),
    (r"tcp: .*", DropWords("fine", "Connections that carry no calls, or ended.")),
    (
        r"sip: sip: fault of ours",
        DropWords("lost", "A message broke the parser; it cost only itself.", "Send us the log."),
    ),
    (
        r"sip: sip .*outside a known call",
        DropWords(
            "look",
            "Messages of calls whose beginning was not seen.",
            "They began before the recorder did, or take another path: mirror that path too.",
        ),
    ),
    (r"sip: sip BYE with tags.*", DropWords("fine", "A stranger tried to end a call, and was not believed.")),
    (
        r"sip: .*(too many|given up|refused|not listed).*",
        DropWords("look", "More calls at once than are followed.", _FLOOD),
    ),
    (
        r"sip: (sip|sdp): .*",
        DropWords(
            "look",
            "Messages that cannot be read; scanners on the internet send such.",
            "If your own PBX sends them, send us one.",
        ),
    ),
    (
        r"media: (rtp|rtcp) without signalling",
        DropWords(
            "look",
            "Voices without signalling: nobody announced them, so it is not known whose they are.",
            "Mirror the signalling of those calls too, or set record_unsignalled = true.",
        ),
    ),
    (
        r"media: encrypted",
        DropWords(
            "look",
            "Voices that are encrypted, with a key that is not in the signalling.",
            "Mirror behind the session border controller, or exchange keys by SDES.",
        ),
    ),
    (r"media: mirror duplicate", DropWords("fine", "The mirror shows packets twice; the copies are left out.")),
    (
        r"media: (tones not searched.*|left out, tones not searched.*)",
        DropWords(
            "look",
            "Voices in which keyed digits were not looked for in time.",
            "Allow more processes (analysis.processes).",
        ),
    ),
    (
        r"media: analysis process restarted",
        DropWords("look", "A decoder broke and was started anew; no call was lost.", "Send us the log."),
    ),
    (
        r"media: not listened to.*",
        DropWords(
            "look",
            "Nobody listened in time: no call was lost, an announcement may have been missed.",
            "Allow more processes (analysis.processes), or a shorter analysis.window_s.",
        ),
    ),
    (
        r"media: gate: announcement played by the other party",
        DropWords(
            "look",
            "Calls whose gate stayed closed since the announcement was played by the other party.",
            "Whose voice it must be in is `side` of [[record]]; which calls go out is known by site.own_numbers.",
        ),
    ),
    (
        r"media: gate: no more memory",
        DropWords("look", "A call that waits for a decision found no memory.", "Raise gate.total_mib."),
    ),
    (
        r"media: write failed",
        DropWords("lost", "The disk did not take what was to be written.", "Look at the disk and its space."),
    ),
    (
        r"media: (skipped after repeated crashes|fault in signalling)",
        DropWords("lost", "A fault of the program: what was being read then is left out.", "Send us the log."),
    ),
    (
        r"media: (flow table full|digits flood|rtcp flood|too many fragments at once|rtcp of a call.*)",
        DropWords("look", "More at once than the program holds.", _FLOOD),
    ),
    (r"media: kernel drop", DropWords("lost", "The kernel threw packets away.", "See above: layer kernel.")),
    (
        r"media: (digits|paused|muted|not-analysed|excluded-by-rule|discarded-by-policy|before-gate|gate-lost)",
        DropWords("fine", "Left out because a pause or a rule says so."),
    ),
    (
        r"media: (dtls|stun|other udp|media-not-kept|hold-back shortened)",
        DropWords("fine", "Other traffic than voices."),
    ),
)
_PATTERNS: Final = tuple((re.compile(pattern), words) for pattern, words in _TABLE)


def drop_words(layer: str, reason: str) -> DropWords:
    """Return what a reason means.

    >>> drop_words("kernel", "eth1").weight, drop_words("media", "mirror duplicate").weight
    ('lost', 'fine')
    """
    said = f"{layer}: {reason}"
    return next((words for pattern, words in _PATTERNS if pattern.fullmatch(said)), UNKNOWN)
