"""What proofs are made of: signatures, the ledger's Merkle tree, time stamps. Used by verify.py, which lies beside it.

Plain Python 3.8 or later, nothing else. Written to be read: each function is a few lines of the standard that it names.
"""

from __future__ import annotations

import base64
import calendar
import hashlib
import json
import os
import subprocess
import tempfile
from functools import lru_cache
from typing import Any, Iterator, NamedTuple, Tuple  # noqa: UP035 - Python 3.8


class Bad(ValueError):
    """Something does not hold; the text says what."""


# Signatures: Ed25519 (RFC 8032 section 5.1.7), slow and plain, as nothing here is secret; P-256 is left to openssl

P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P
ORDER = 2**252 + 27742317777372353535851937790883648493
Point = Tuple[int, int, int, int]  # noqa: UP006 - X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z


def ed_add(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0])
    b = (one[1] + one[0]) * (other[1] + other[0])
    c, d = 2 * one[3] * other[3] * D, 2 * one[2] * other[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def ed_times(n: int, point: Point) -> Point:
    found = (0, 1, 1, 0)
    while n:
        if n & 1:
            found = ed_add(found, point)
        point, n = ed_add(point, point), n >> 1
    return found


def ed_point(data: bytes) -> Point:
    number = int.from_bytes(data, "little")
    y, sign = number & (1 << 255) - 1, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x * x % P != square or (x == 0 and sign):
        raise Bad("no point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


ED_BASE = ed_point(b"\x58" + b"\x66" * 31)


@lru_cache(maxsize=None)  # noqa: UP033 - Python 3.8; one checkpoint stands in many proofs
def ed25519_holds(public: bytes, signature: bytes, data: bytes) -> bool:
    s = int.from_bytes(signature[32:], "little")
    if len(public) != 32 or len(signature) != 64 or s >= ORDER:
        return False
    try:
        r, a = ed_point(signature[:32]), ed_point(public)
    except Bad:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + data).digest(), "little") % ORDER
    one, other = ed_times(s, ED_BASE), ed_add(r, ed_times(k, a))
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 == (one[1] * other[2] - other[1] * one[2]) % P


def p256_holds(info: bytes, signature: bytes, data: bytes) -> bool:
    """Have openssl look. info: SubjectPublicKeyInfo, DER."""
    pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(info) + b"-----END PUBLIC KEY-----\n"
    files = {"key.pem": pem, "signature": signature, "data": data}
    return openssl(["dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "data"], files) == ""


def openssl(command: list[str], files: dict[str, bytes]) -> str:
    """Run openssl in a folder with some files; return why it refuses, "" when it does not."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in {**files, "openssl.cnf": b""}.items():
            with open(os.path.join(folder, name), "wb") as stream:
                stream.write(data)
        own = {**os.environ, "OPENSSL_CONF": "openssl.cnf"}
        done = subprocess.run(["openssl", *command], cwd=folder, env=own, input=b"", stdout=-1, stderr=-1, check=False)
    said = (done.stderr.decode("utf-8", "replace").strip() or "it says no").splitlines()[-1]
    return said if done.returncode else ""


# Keys and signed notes: C2SP signed-note


P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")  # how such a key begins


class Key(NamedTuple):
    """A public key. kind: 1 is Ed25519 (32 bytes), 2 is P-256 (SubjectPublicKeyInfo).

    until: entries in the last checkpoint that it signs, when another key followed it; 0: none did.
    """

    name: str
    kind: int
    public: bytes
    until: int = 0

    def signed(self, signature: bytes, data: bytes) -> bool:
        return (ed25519_holds if self.kind == 1 else p256_holds)(self.public, signature, data)

    def signed_jws(self, signature: bytes, data: bytes) -> bool:
        """The same for JWS, where a P-256 signature is two numbers of 32 bytes (RFC 7518 section 3.4), not DER."""
        if self.kind == 2 and len(signature) != 64:
            return False
        if self.kind == 2:
            pair = [int.from_bytes(half, "big") for half in (signature[:32], signature[32:])]
            coded = [number.to_bytes(number.bit_length() // 8 + 1, "big") for number in pair]
            body = b"".join(b"\x02" + bytes([len(number)]) + number for number in coded)
            signature = b"\x30" + bytes([len(body)]) + body
        return self.signed(signature, data)

    def id(self) -> bytes:
        told = self.public if self.kind == 2 else self.name.encode() + b"\n\x01" + self.public
        return hashlib.sha256(told).digest()[:4]


def parse_key(text: str) -> Key:
    name, _, rest = text.strip().partition("+")
    number, _, encoded = rest.partition("+")
    raw = base64.b64decode(encoded, validate=True)
    key = Key(name, raw[0], raw[1:])
    if key.kind not in (1, 2) or key.id().hex() != number:
        raise Bad("this is no key of a ledger")
    return key


def parse_pem(text: str, name: str) -> Key:
    info = base64.b64decode("".join(text.split("-----")[2].split()))
    return Key(name, 2, info) if info[:27] == P256 else Key(name, 1, info[-32:])


def open_note(note: bytes, keys: list[Key]) -> str:
    """Return the text of a note that one of the keys signed."""
    text, _, signatures = note.decode().rpartition("\n\n")
    if not signatures.endswith("\n"):
        raise Bad("it is cut")
    for line in signatures[:-1].split("\n"):
        for key in keys:
            start = f"\u2014 {key.name} "
            raw = base64.b64decode(line[len(start) :], validate=True) if line.startswith(start) else b""
            if raw[:4] == key.id() and key.signed(raw[4:], (text + "\n").encode()):
                return text + "\n"
    raise Bad("it carries no valid signature of the recorder's key")


class Checkpoint(NamedTuple):
    size: int
    root: bytes


def open_checkpoint(note: bytes, keys: list[Key]) -> Checkpoint:
    origin, size, root = open_note(note, keys).split("\n")[:3]
    if origin != keys[0].name or not size.isdigit():
        raise Bad("it is a checkpoint of another ledger, or none")
    found = Checkpoint(int(size), base64.b64decode(root, validate=True))
    open_note(note, [key for key in keys if not key.until or found.size <= key.until])  # no later than it was followed
    return found


class Rotation(NamedTuple):
    """One key followed another: each has signed that, with the number of entries at which it did."""

    old: Key
    new: Key


def read_rotation(entry: dict[str, Any]) -> Rotation:
    old, new = parse_key(entry["old"]), parse_key(entry["new"])
    said = "vittne-key/1\n{}\n{}\n{}\n".format(entry["old"], entry["new"], entry["size"]).encode()
    by_both = (old, entry["proof"]), (new, entry["seconded"])
    if not all(key.signed(base64.b64decode(signature), said) for key, signature in by_both):
        raise Bad("one key did not follow another as it is said")
    return Rotation(old._replace(until=int(entry["size"])), new)


# The ledger's Merkle tree: RFC 9162 sections 2.1.3.2 and 2.1.4.2; proof files: C2SP tlog-proof


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def climb(index: int, size: int, steps: list[bytes], leaf: bytes, old: bytes | None) -> tuple[bytes, bytes]:
    """Return the roots of the tree and, when old is given, of the older one that it begins with."""
    left, right, before = index, size - 1, old or b""
    while old and left & 1:
        left, right = left >> 1, right >> 1
    for step in steps:
        if not right or len(step) != 32:
            raise Bad("the proof is too long")
        if left & 1 or left == right:
            leaf, before = node(step, leaf), node(step, before)
            while not left & 1 and left:
                left, right = left >> 1, right >> 1
        else:
            leaf = node(leaf, step)
        left, right = left >> 1, right >> 1
    if right:
        raise Bad("the proof is too short")
    return leaf, before


def check_consistency(old: Checkpoint, new: Checkpoint, proof: bytes) -> None:
    steps = [base64.b64decode(line) for line in proof.split()]
    if not 0 < old.size <= new.size:
        raise Bad("the older state is the larger one")
    if old.size < new.size:
        steps = steps if old.size & (old.size - 1) else [old.root, *steps]
        root, before = climb(old.size - 1, new.size, steps[1:], steps[0], steps[0])
        if (root, before) != (new.root, old.root):
            raise Bad("the ledger was rewritten: it does not begin with the older one")
    elif steps or old.root != new.root:
        raise Bad("the ledger was rewritten: two states of one size")


class Proof(NamedTuple):
    number: int
    entry: dict[str, Any]
    checkpoint: Checkpoint


def open_proof(data: bytes, keys: list[Key], leaf: bytes = b"") -> Proof:
    """Return what a proof file proves of an entry: the one given, or the one in the file."""
    head, _, note = data.partition(b"\n\n")
    lines = head.decode().split("\n")
    if lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise Bad("this is no proof")
    entry = base64.b64decode(lines.pop(0)[6:]) if lines[0].startswith("extra ") else leaf
    index = int(lines.pop(0)[6:])
    checkpoint = open_checkpoint(note, keys)
    steps = [base64.b64decode(line, validate=True) for line in lines]
    if leaf not in (b"", entry) or not 0 <= index < checkpoint.size:
        raise Bad("it proves another entry")
    root, _ = climb(index, checkpoint.size, steps, hashlib.sha256(b"\0" + entry).digest(), None)
    if root != checkpoint.root:
        raise Bad("the entry is not in the ledger that was signed")
    return Proof(index, json.loads(entry), checkpoint)


# Time stamps: RFC 3161 in CMS (RFC 5652), read by hand; the authority's own signature is openssl's work

HASHES = {"608648016503040201": "sha256", "608648016503040202": "sha384", "608648016503040203": "sha512"}
MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010904")
Value = Tuple[int, bytes, bytes]  # noqa: UP006 - tag, content, and all of it


def values(data: bytes) -> Iterator[Value]:
    at = 0
    while at < len(data):
        tag, length, start = data[at], data[at + 1], at + 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[at + 2 : start], "big")
        if start + length > len(data):
            raise Bad("it is cut")
        yield tag, data[start : start + length], data[at : start + length]
        at = start + length


def children(data: bytes, depth: int) -> list[Any]:
    """Return the values in data; depth 1: the values in each of them."""
    return [children(content, depth - 1) if depth else (tag, content, whole) for tag, content, whole in values(data)]


class Stamp(NamedTuple):
    time: str
    seconds: int


def read_stamp(token: bytes, data: bytes) -> Stamp:
    """Return the time in a token. Raises Bad when it is not about data, or contradicts itself."""
    status, content = children(token, 1)[0]
    if children(status[1], 0)[0][1] not in (b"\0", b"\1"):
        raise Bad("the authority gave no stamp")
    signed = children(children(content[1], 0)[1][1], 1)[0]
    info = children(children(signed[2][1], 0)[1][1], 0)[0][1]  # TSTInfo, DER
    said = children(info, 1)[0]
    imprint = children(said[2][1], 0)
    name = HASHES[children(imprint[0][1], 0)[0][1].hex()]
    if hashlib.new(name, data).digest() != imprint[1][1]:
        raise Bad("it is a stamp over another checkpoint")
    signer = children(signed[-1][1], 1)[0]
    algorithm = HASHES[children(signer[2][1], 0)[0][1].hex()]
    claimed = [one[1][1] for one in children(signer[3][1], 1) if one[0][1] == MESSAGE_DIGEST]
    if [children(one, 0)[0][1] for one in claimed] != [hashlib.new(algorithm, info).digest()]:
        raise Bad("its content is not what the authority signed")
    text = said[4][1].decode().rstrip("Z").partition(".")
    year, rest = int(text[0][:4]), [int(text[0][at : at + 2]) for at in range(4, 14, 2)]
    month, day, hour, minute, second = rest
    fraction = f".{text[2]}" if text[2] else ""
    shown = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"
    return Stamp(shown, calendar.timegm((year, *rest)))
