"""Recovery shares of the root: SLIP-39, 3 of 5 by default, 33 words each.

Fewer than the threshold say nothing about the root. A share has a checksum that finds a mistyped word; errors here
never repeat words, since they are shown and logged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from shamir_mnemonic import MnemonicError, combine_mnemonics, generate_mnemonics
from shamir_mnemonic.share import Share

from vittne.appliance.keyring.errors import KeysLocked, KeysMismatch
from vittne.appliance.keyring.wrapping import KEY_BYTES

THRESHOLD: Final = 3
SHARES: Final = 5
MOST: Final = 16  # SLIP-39


def make_shares(root: bytes, threshold: int = THRESHOLD, shares: int = SHARES) -> list[str]:
    """Return a root as shares, any threshold of which give it back. KeysMismatch for numbers that make no sense."""
    if not 2 <= threshold <= shares <= MOST:
        what = f"{threshold} of {shares} makes no sense"
        raise KeysMismatch(what, "shares", f"2 or more are needed to recover, {MOST} at most are made")
    made: list[str] = generate_mnemonics(1, [(threshold, shares)], root)[0]
    return made


def checked(text: str) -> Share:
    """Return a share that was typed in. Raises KeysMismatch when a word or the checksum is wrong."""
    words = " ".join(text.lower().split())
    try:
        return Share.from_mnemonic(words)
    except (MnemonicError, ValueError, KeyError) as error:
        raise KeysMismatch("this is no share: a word is wrong, or missing", "shares", "type it again") from error


def wanted(share: Share) -> int:
    """Return how many shares of its set are needed."""
    return int(share.member_threshold)


def combine(texts: Iterable[str]) -> bytes:
    """Return the root that shares hold. Raises KeysMismatch, KeysLocked when they are too few or of several sets.

    Whether it is the root of a certain ring is seen when the ring is opened with it.
    """
    found = {share.index: (share, text) for text in texts for share in [checked(text)]}
    if not found:
        raise KeysLocked("no share was given", "shares", "enter them one after another")
    need = wanted(next(iter(found.values()))[0])
    if len({share.identifier for share, _ in found.values()}) > 1:
        raise KeysMismatch("these shares are not of one set", "shares", "use those that were printed together")
    if len(found) < need:
        raise KeysLocked(f"{len(found)} shares of {need} that are needed", "shares", "find the others")
    texts = [" ".join(text.lower().split()) for _, text in sorted(found.values(), key=lambda one: one[0].index)]
    try:
        root: bytes = combine_mnemonics(texts[:need])
    except MnemonicError as error:
        raise KeysMismatch("these shares do not belong together", "shares", "use those printed together") from error
    if len(root) != KEY_BYTES:
        raise KeysMismatch("these are shares of something else", "shares", "find those of this archive")
    return root
