"""Proofs from tiles: against the tree as RFC 6962 writes it down, and against altered ones."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import lines

from vittne.appliance.seal.history import history_of, read_history
from vittne.appliance.seal.ledger import Ledger, LedgerDamaged, open_ledger
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.merkle import TileTree, leaf_hash
from vittne.appliance.seal.note import BadNote, Checkpoint
from vittne.appliance.seal.proofs import consistency_proof, inclusion_proof, is_consistent, is_included, root_of
from vittne.appliance.seal.scan import scan_ledger
from vittne.appliance.seal.signing import new_key
from vittne.appliance.seal.tiles import bundle, tile_name, unbundle, width_at
from vittne.appliance.seal.tlogproof import BadProof, TlogProof, parse_proof
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import Store

REC = "11111111-2222-4333-8444-555555555555"
MANY = 66_000
# Where a tile of level 0 and one of level 1 become full.
EDGES = (1, 2, 3, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, MANY)
sizes = st.one_of(st.sampled_from(EDGES), st.integers(1, 600), st.integers(1, MANY))


def leaves() -> list[bytes]:
    return [leaf_hash(n.to_bytes(4, "big")) for n in range(MANY)]


@cache
def hashes(first: int, end: int) -> bytes:
    """MTH(D[first:end]) by the definition in RFC 6962 section 2.1."""
    if end - first == 1:
        return hashlib.sha256(b"\0" + first.to_bytes(4, "big")).digest()
    middle = first + largest_power_of_two_below(end - first)
    return hashlib.sha256(b"\1" + hashes(first, middle) + hashes(middle, end)).digest()


def largest_power_of_two_below(count: int) -> int:
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def path_by_definition(index: int, first: int, end: int) -> list[bytes]:
    """PATH(m, D[n]), RFC 6962 section 2.1.1."""
    if end - first == 1:
        return []
    middle = first + largest_power_of_two_below(end - first)
    if index < middle:
        return [*path_by_definition(index, first, middle), hashes(middle, end)]
    return [*path_by_definition(index, middle, end), hashes(first, middle)]


def subproof_by_definition(old: int, first: int, end: int, whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b), RFC 6962 section 2.1.2; old counts from the tree's beginning."""
    if old == end:
        return [] if whole else [hashes(first, end)]
    middle = first + largest_power_of_two_below(end - first)
    if old <= middle:
        return [*subproof_by_definition(old, first, middle, whole), hashes(middle, end)]
    return [*subproof_by_definition(old, middle, end, False), hashes(first, middle)]


class Tiles:
    """The tiles of the first MANY numbers, made by the tree that grows, for any size up to that."""

    def __init__(self) -> None:
        tree = TileTree()
        for leaf in leaves():
            tree.add_leaf(leaf)
        self.levels = [b"".join(level) for level in tree.levels]

    def at(self, size: int, level: int, number: int) -> bytes:
        first = number * 256
        return self.levels[level][first * 32 : (first + width_at(level, number, size)) * 32]


@pytest.fixture(scope="module")
def tiles() -> Tiles:
    return Tiles()


@settings(max_examples=150, deadline=None)
@given(size=sizes, place=st.integers(0, MANY))
def test_every_entry_is_proven_as_the_rfc_says(tiles: Tiles, size: int, place: int) -> None:
    index = place % size
    path = inclusion_proof(lambda level, number: tiles.at(size, level, number), index, size)

    assert path == path_by_definition(index, 0, size)
    assert is_included(index, size, hashes(index, index + 1), path, hashes(0, size))
    assert root_of(lambda level, number: tiles.at(size, level, number), size) == hashes(0, size)


@settings(max_examples=150, deadline=None)
@given(size=sizes, part=sizes)
def test_every_former_state_is_proven_as_the_rfc_says(tiles: Tiles, size: int, part: int) -> None:
    old = min(size, part)
    path = consistency_proof(lambda level, number: tiles.at(size, level, number), old, size)

    assert path == ([] if old == size else subproof_by_definition(old, 0, size, True))
    assert is_consistent(old, hashes(0, old), size, hashes(0, size), path)


def altered(steps: Sequence[bytes], data: st.DataObject) -> list[bytes]:
    """The steps with one bit turned, one left out, one too many, or two exchanged."""
    steps = list(steps)
    kind = data.draw(st.sampled_from(["bit", "less", "more", "swap"] if steps else ["more"]))
    place = data.draw(st.integers(0, max(len(steps) - 1, 0)))
    if kind == "bit":
        step = bytearray(steps[place])
        step[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
        steps[place] = bytes(step)
    elif kind == "less":
        del steps[place]
    elif kind == "more":
        steps.insert(place, data.draw(st.binary(min_size=32, max_size=32)))
    else:
        other = (place + 1) % len(steps)
        steps[place], steps[other] = steps[other], steps[place]
    return steps


@settings(max_examples=200, deadline=None)
@given(size=sizes, place=st.integers(0, MANY), data=st.data())
def test_an_altered_proof_of_an_entry_fails(size: int, place: int, data: st.DataObject) -> None:
    index = place % size
    path, root, leaf = path_by_definition(index, 0, size), hashes(0, size), hashes(index, index + 1)
    other = data.draw(st.integers(0, size).filter(lambda n: n != index))
    forged = altered(path, data)

    assert forged == path or not is_included(index, size, leaf, forged, root)
    assert not is_included(other, size, leaf, path, root)
    assert not is_included(index, size, hashes(MANY - 1 - index, MANY - index), path, root) or index == MANY - 1 - index
    assert not is_included(index, size, leaf, path, bytes(32))


@settings(max_examples=200, deadline=None)
@given(size=sizes, part=sizes, data=st.data())
def test_an_altered_proof_of_a_former_state_fails(size: int, part: int, data: st.DataObject) -> None:
    old = min(size, part)
    path = [] if old == size else subproof_by_definition(old, 0, size, True)
    roots = hashes(0, old), hashes(0, size)
    forged = altered(path, data)

    assert forged == path or not is_consistent(old, roots[0], size, roots[1], forged)
    assert not is_consistent(old, bytes(32), size, roots[1], path)
    assert not is_consistent(old, roots[0], size, bytes(32), path)
    assert not is_consistent(size + 1, roots[1], size, roots[1], path)


def test_the_empty_log_is_the_beginning_of_every_log() -> None:
    assert is_consistent(0, hashlib.sha256().digest(), 7, hashes(0, 7), [])
    assert not is_consistent(0, bytes(32), 7, hashes(0, 7), [])
    assert not is_consistent(0, hashlib.sha256().digest(), 7, hashes(0, 7), [bytes(32)])


@pytest.mark.parametrize(
    ("level", "number", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (1, 999, 1, "tile/1/999.p/1"),
        (0, 1000, 256, "tile/0/x001/000"),
        (2, 1_234_067, 256, "tile/2/x001/x234/067"),
        ("entries", 1_234_067, 8, "tile/entries/x001/x234/067.p/8"),
    ],
)
def test_tiles_have_the_names_that_c2sp_gives(level: int | str, number: int, width: int, path: str) -> None:
    assert tile_name(level, number, width) == path


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 20))
def test_a_bundle_gives_its_entries_back_and_no_cut_one_does(entries: list[bytes], cut: int) -> None:
    data = bundle(entries)

    assert unbundle(data) == entries
    if entries:
        shorter = data[: -min(cut, len(entries[-1]) + 1)]
        with pytest.raises(ValueError, match="cut"):
            unbundle(shorter)


# The files of a real ledger


def fill(ledger: Ledger, count: int) -> None:
    for n in range(count):
        ledger.record({"t": "rec.seal", "rec": REC, "manifest": f"{n:064x}", "state": "sealed"}, at_us=n)
    ledger.flush()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    Store(tmp_path).close()
    return open_ledger(tmp_path)


def view(ledger: Ledger) -> LedgerView:
    return LedgerView(ledger.directory, ledger.key.verifier)


def client_root(directory: Path) -> tuple[int, str]:
    """Size and root as any client of a tiled log computes them: from checkpoint and bundles alone."""
    _, size, _ = (directory / "checkpoint").read_text().split("\n")[:3]
    found: list[bytes] = []
    for number in range(-(-int(size) // 256)):
        width = min(256, int(size) - number * 256)
        path = directory / f"tile/entries/{number:03}{'' if width == 256 else f'.p/{width}'}"
        data = path.read_bytes()
        tile = directory / f"tile/0/{number:03}{'' if width == 256 else f'.p/{width}'}"
        begin = len(found)
        while data:
            length = int.from_bytes(data[:2], "big")
            found.append(hashlib.sha256(b"\0" + data[2 : 2 + length]).digest())
            data = data[2 + length :]
        assert tile.read_bytes() == b"".join(found[begin:])
    return int(size), base64.b64encode(merkle(found)).decode()


def merkle(nodes: list[bytes]) -> bytes:
    if len(nodes) < 2:
        return nodes[0] if nodes else hashlib.sha256().digest()
    k = largest_power_of_two_below(len(nodes))
    return hashlib.sha256(b"\1" + merkle(nodes[:k]) + merkle(nodes[k:])).digest()


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 600])
def test_a_client_of_tiled_logs_can_read_what_was_published(ledger: Ledger, count: int) -> None:
    fill(ledger, count)
    published = ledger.publish()

    assert client_root(ledger.directory) == (count, base64.b64encode(published.root).decode())


def test_what_is_published_when_a_bundle_fills_is_whole(ledger: Ledger) -> None:
    ledger._published_at = float("-inf")  # long ago
    for _ in range(3):
        fill(ledger, 100)

    assert ledger.published.size == 300
    assert client_root(ledger.directory)[0] == 300


def test_a_ledger_goes_on_over_the_edge_of_a_level(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, 65_530)
    for size in (65_530, 65_540, 65_550):
        ledger.close()
        ledger = open_ledger(tmp_path)
        assert ledger.size == size
        assert view(ledger).prove(size - 1).check(ledger.key.verifier).size == size
        fill(ledger, 10)
    ledger.close()

    scan = scan_ledger(ledger.directory, ledger.key.verifier)

    assert scan.published.size == 65_560
    assert view(ledger).prove(12_345).check(ledger.key.verifier) == scan.checkpoint


def test_opening_reads_the_edge_and_nothing_else(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, 65_536 + 600)
    ledger.close()
    open_ledger(tmp_path).close()
    for name in ("tile/entries/000", "tile/entries/255", "tile/0/000", "tile/0/255", "tile/entries/257"):
        (ledger.directory / name).unlink()

    ledger = open_ledger(tmp_path)  # reading all of it is for `vittne ledger check`

    assert ledger.size == 66_136
    ledger.close()
    (ledger.directory / "tile/0/256").unlink()
    with pytest.raises(LedgerDamaged, match="gone"):
        open_ledger(tmp_path)


def test_the_short_files_of_a_tile_go_when_it_is_full(ledger: Ledger) -> None:
    for _ in range(3):
        fill(ledger, 100)
        ledger.publish()

    found = sorted(str(path.relative_to(ledger.directory)) for path in (ledger.directory / "tile").rglob("*.p/*"))
    assert found == ["tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"]


def test_entries_are_read_one_by_one_and_backwards(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, 300)
    ledger.close()
    ledger = open_ledger(tmp_path)
    fill(ledger, 10)
    everything = lines(tmp_path)

    assert len(everything) == 310
    assert [view(ledger).entry(index) for index in (0, 255, 256, 309)] == [everything[n] for n in (0, 255, 256, 309)]
    assert [entry for _, entry in view(ledger).backwards()] == everything[::-1]
    assert [index for index, _ in view(ledger).entries(254)] == list(range(254, 310))
    with pytest.raises(StoreError, match="no such entry"):
        view(ledger).entry(310)


def begin_and_seal(ledger: Ledger, rec: str, seals: int) -> None:
    ledger.record({"t": "rec.open", "rec": rec, "part": 0, "capsule": "cd" * 32})
    for n in range(seals):
        ledger.record({"t": "rec.seal", "rec": rec, "manifest": f"{n:064x}", "state": "sealed"})


def test_the_history_of_a_few_recordings_is_that_of_all_read_through(ledger: Ledger, tmp_path: Path) -> None:
    one, two, three = (f"{n}2222222-2222-4333-8444-555555555555" for n in (1, 2, 3))
    begin_and_seal(ledger, one, 1)
    fill(ledger, 400)
    begin_and_seal(ledger, two, 2)
    begin_and_seal(ledger, three, 0)
    ledger.close()
    ledger = open_ledger(tmp_path)
    ledger.record({"t": "rec.seal", "rec": three, "manifest": "ab" * 32, "state": "sealed"})
    ledger.flush()

    every, _ = read_history(ledger.directory, ledger.key.verifier)
    some = history_of(ledger.directory, ledger.key.verifier, [one, three, "42222222-2222-4333-8444-555555555555"])

    assert some.seals == {rec: every.seals[rec] for rec in (one, three)}
    assert some.opened == {one, three}
    path = ledger.directory / "tile/entries/000"
    path.write_bytes(path.read_bytes().replace(b"0" * 64, b"1" * 64, 1))
    with pytest.raises(LedgerDamaged, match="entry 1 is not under the signed root"):
        history_of(ledger.directory, ledger.key.verifier, [one])


def test_a_proof_in_a_file_convinces_who_has_the_key_only(ledger: Ledger) -> None:
    fill(ledger, 300)
    ledger.publish()
    proof = view(ledger).prove(299)

    read = parse_proof(proof.text())

    assert read == proof
    assert read.check(ledger.key.verifier) == ledger.published
    with pytest.raises(BadProof, match="not at this place"):
        read.check(ledger.key.verifier, b"something else")
    with pytest.raises(BadNote):
        read.check(new_key().verifier)
    with pytest.raises(BadProof):
        TlogProof(298, read.path, read.note, read.entry).check(ledger.key.verifier)


def test_the_example_of_c2sp_is_read() -> None:
    step = base64.b64encode(bytes(range(32))).decode()
    note = f"example.com/log\n109482\n{step}\n\n— x y\n"
    text = f"c2sp.org/tlog-proof@v1\nextra aGVsbG8=\nindex 73894\n{step}\n{step}\n\n{note}"

    proof = parse_proof(text.encode())

    assert (proof.index, len(proof.path), proof.entry) == (73894, 2, b"hello")
    assert proof.note.startswith(b"example.com/log\n109482\n")
    assert proof.text() == text.encode()
    assert parse_proof(text.replace("extra aGVsbG8=\n", "").encode()).entry == b""


@given(st.binary(max_size=300))
def test_garbage_is_no_proof(garbage: bytes) -> None:
    for data in (garbage, b"c2sp.org/tlog-proof@v1\n" + garbage, b"c2sp.org/tlog-proof@v1\nindex " + garbage):
        try:
            parse_proof(data)
        except BadProof:
            continue


def test_an_entry_that_is_not_published_yet_says_so(ledger: Ledger) -> None:
    fill(ledger, 3)

    with pytest.raises(StoreError, match="not published yet"):
        view(ledger).prove(2)


def test_a_kept_checkpoint_is_held_against_the_log(ledger: Ledger) -> None:
    fill(ledger, 100)
    kept = ledger.publish()
    fill(ledger, 400)
    ledger.publish()

    assert view(ledger).consistency(kept)
    with pytest.raises(LedgerDamaged, match="first 100 entries are not those"):
        view(ledger).consistency(Checkpoint(kept.origin, 100, bytes(32)))
    with pytest.raises(LedgerDamaged, match="shortened: it had 501 entries"):
        view(ledger).consistency(Checkpoint(kept.origin, 501, bytes(32)))
