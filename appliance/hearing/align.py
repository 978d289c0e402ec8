"""A pattern laid along a voice: the way that fits best, block by block, and how well each block fits.

Blocks of 0.3 s may lie a frame or more off their neighbour's place, at a price: clocks drift, speeds differ by a
hundredth, jitter buffers slip. All sums are of whole numbers, so they are the same on every machine.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np

from vittne.appliance.hearing.features import BANDS, U8, WIDTH, Bools, Features
from vittne.appliance.hearing.front import F32
from vittne.appliance.hearing.pattern import I64, Pattern

BLOCK: Final = 15  # frames
_SLACK: Final = 4  # frames around the place that was hinted at
_SPEED: Final = 0.012  # and so much of the distance
_PRICE: Final = 0.06  # of a step aside, in correlation
_TOGETHER: Final = 48  # frames of one product
_FURTHEST: Final = 4  # frames that a block may lie off its neighbour's place


@dataclass(frozen=True, slots=True)
class Aligned:
    """b blocks of a pattern along a voice, n frames.

    edges: (b + 1,) frames of the pattern. lag: (b,) frames aside of the place. product, own, theirs: (n,) sums of each
    frame: pattern times voice, pattern squared, voice squared; 0 where the pattern is silent or the voice did not come.
    whole: (n,) the voice came. level: (n, BANDS) of the voice along the way.
    """

    at: int
    edges: I64
    lag: I64
    product: F32
    own: F32
    theirs: F32
    whole: Bools
    level: U8


def align(one: Pattern, voice: Features, at: int, anchor: int) -> Aligned:
    """Return the best way. at: frame of the voice at which the pattern's first frame lies, may be outside of it."""
    count = len(one)
    half = _SLACK + int(np.ceil(_SPEED * max(anchor, count - anchor)))
    around = _around(voice, at - half, at + count + half)
    steps = around.steps.astype(np.float32)
    mine = one.features.steps.astype(np.float32) * one.speech[:, None]
    lags = 2 * half + 1
    product = _products(steps, mine, lags)
    theirs = _aside(np.einsum("ij,ij->i", steps, steps), count, lags) * one.speech[:, None]
    own = np.einsum("ij,ij->i", mine, mine)[:, None] * _aside(around.whole.astype(np.float32), count, lags)
    blocks = max(1, round((one.last - one.first) / BLOCK))
    edges = np.linspace(one.first, one.last, blocks + 1).astype(np.int64)
    sums = [np.add.reduceat(part[: one.last], edges[:-1], axis=0) for part in (product, own, theirs)]
    fit = _fit(*sums)
    most = sums[1].max(axis=1)
    weight = np.sqrt(np.minimum(1.0, most / max(1.0, _median(most))))
    lag = _way(fit * weight[:, None], int(np.searchsorted(edges, anchor, "right")) - 1, half)
    of_frame = np.repeat(lag, np.diff(edges))
    of_frame = np.concatenate((np.full(one.first, lag[0]), of_frame, np.full(count - one.last, lag[-1])))
    rows = np.arange(count)
    taken = rows + of_frame
    return Aligned(
        at,
        edges,
        lag - half,
        product[rows, of_frame],
        own[rows, of_frame],
        theirs[rows, of_frame],
        around.whole[taken],
        around.level[taken],
    )


def _fit(product: F32, own: F32, theirs: F32) -> F32:
    """Return normalised correlations; 0 where there is nothing to compare."""
    below = np.sqrt(own * np.maximum(theirs, 0.05 * own))
    fit: F32 = np.divide(product, below, out=np.zeros_like(product), where=below > 0)
    return fit


def _products(steps: F32, mine: F32, lags: int) -> F32:
    """Return (n, lags) products of each frame of mine with those that lie from its place on in steps.

    Many frames with all that lies near any of them, in one matrix product: of it, a band around the diagonal counts.
    """
    count, height = len(mine), _TOGETHER + lags - 1
    parts = -(-count // _TOGETHER)
    own = np.zeros((parts * _TOGETHER, WIDTH), np.float32)
    own[:count] = mine
    voice = np.zeros(((parts - 1) * _TOGETHER + height, WIDTH), np.float32)
    voice[: len(steps)] = steps
    down, across = voice.strides
    near = np.lib.stride_tricks.as_strided(voice, (parts, height, WIDTH), (_TOGETHER * down, down, across))
    every = near @ own.reshape(parts, _TOGETHER, WIDTH).transpose(0, 2, 1)
    part, down, across = every.strides
    band = np.lib.stride_tricks.as_strided(every, (parts, _TOGETHER, lags), (part, down + across, down))
    return band.reshape(-1, lags)[:count]


def _median(line: F32) -> float:
    """Return the median of whole numbers; numpy's takes ten times as long for so few."""
    ordered = np.sort(line)
    return (float(ordered[(len(line) - 1) // 2]) + float(ordered[len(line) // 2])) / 2


def _aside(line: F32, count: int, lags: int) -> F32:
    """Return (count, lags) of a line: each place, and so many behind it."""
    return np.lib.stride_tricks.as_strided(line, (count, lags), (line.strides[0], line.strides[0]))


def _around(voice: Features, first: int, last: int) -> Features:
    """Return the frames [first, last) of a voice; outside of it nothing came."""
    before, behind = max(0, -first), max(0, last - max(len(voice), first))
    inside = voice.part(min(max(0, first), len(voice)), max(0, min(last, len(voice))))
    before = min(before, last - first)
    behind = last - first - before - len(inside)
    return Features(
        np.concatenate((np.zeros((before, WIDTH), np.int8), inside.steps, np.zeros((behind, WIDTH), np.int8))),
        np.concatenate((np.zeros((before, BANDS), np.uint8), inside.level, np.zeros((behind, BANDS), np.uint8))),
        np.concatenate((np.zeros(before, np.bool_), inside.whole, np.zeros(behind, np.bool_))),
    )


def _way(fit: F32, anchor: int, half: int) -> I64:
    """Return (blocks,) the lag of each block on the best way, which begins near the middle at the anchor's block."""
    blocks, lags = fit.shape
    price = _prices(lags)
    near = fit.copy()
    near[min(max(anchor, 0), blocks - 1), np.abs(np.arange(lags) - half) > _SLACK] = -1e3
    best, reach = near[0], np.empty((blocks, lags, lags), np.float32)
    for block in range(1, blocks):
        np.subtract(best, price, out=reach[block])
        best = np.maximum.reduce(reach[block], axis=1) + near[block]
    came = reach[1:].argmax(axis=2).tolist()
    lag = [int(best.argmax())]
    for place in range(blocks - 2, -1, -1):
        lag.append(came[place][lag[-1]])
    return np.array(lag[::-1], np.int64)


@functools.cache
def _prices(lags: int) -> F32:
    """Return (lags, lags) what it costs to come from one to another."""
    apart = np.abs(np.arange(lags)[:, None] - np.arange(lags))
    return np.where(apart > _FURTHEST, np.float32(1e3), (_PRICE * apart).astype(np.float32))
