"""Check an evidence bundle. Plain Python 3.8 or later, nothing else: no network, none of the recorder's software.

    python3 -I verify.py [--key FILE] [--ca FILE] [--checkpoint FILE] [--unsigned] [FOLDER]

--key         the recorder's public key (ledger.pub.pem or ledger.vkey) as you got it from elsewhere
--ca          certificates of time stamping authorities that you trust, PEM
--checkpoint  a checkpoint of the recorder's ledger that you kept from before
--unsigned    take a bundle that is not signed as a whole: report, sound and who looked at it then prove nothing

Prints what was looked at, a line each: OK, FAIL, or NOTE for what could not be looked at or is to be known. Exit status
0: nothing fails; 1: something does. Without --key and --ca it is only shown that the bundle agrees with itself: whoever
makes up everything can make up the key, too. And take verify.py and primitives.py from somebody you trust: who alters a
bundle can alter them. VERIFY.txt has commands of coreutils and openssl that do the same.
"""

from __future__ import annotations

import argparse
import base64
import calendar
import hashlib
import json
import os
import shutil
import sys
import time
from typing import Any, Callable, NoReturn  # noqa: UP035 - Python 3.8

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(HERE)  # python -I leaves it out; last, so that nothing beside it stands in for the library
sys.dont_write_bytecode = __name__ == "__main__"  # a file that is put in is one too many

from primitives import (  # noqa: E402
    Bad,
    Checkpoint,
    Key,
    Proof,
    check_consistency,
    open_checkpoint,
    open_note,
    open_proof,
    openssl,
    parse_key,
    parse_pem,
    read_rotation,
    read_stamp,
)

WRONG = (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError, RecursionError, OverflowError)
CLOCK_S = 60  # how far the recorder's clock may be ahead of an authority's


class Tell:
    """Prints what was found."""

    failed = 0

    def ok(self, words: str) -> None:
        print("OK    " + words)

    def note(self, words: str) -> None:
        print("NOTE  " + words)

    def fail(self, words: str) -> None:
        self.failed += 1
        print("FAIL  " + words)

    def look(self, subject: str, check: Callable[..., Any], *given: Any) -> Any:
        """Do a check; return what it found, None when it fails."""
        try:
            return check(*given)
        except WRONG as error:
            self.fail("{}: {}".format(subject, error if isinstance(error, Bad) else f"cannot be read ({error!r})"))
            return None


def plain(text: object) -> str:
    """Return text from elsewhere so that it can do nothing to a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))[:200]


def read(*names: str) -> bytes:
    with open(os.path.join(*names), "rb") as stream:
        return stream.read()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_digest(path: str) -> str:
    found = hashlib.sha256()
    with open(path, "rb") as stream:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            found.update(piece)
    return found.hexdigest()


def names(*folder: str) -> list[str]:
    """Return what is in a folder, in order; nothing where there is none."""
    path = os.path.join(*folder)
    return sorted(os.listdir(path)) if os.path.isdir(path) else []


def check_bag(tell: Tell, top: str) -> None:
    """RFC 8493: every file is listed, every listed one is there, and all are as they were."""
    listed: dict[str, str] = {}
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        for line in read(top, manifest).decode().splitlines():
            value, _, name = line.partition("  ")
            if name in listed or name.startswith("/") or ".." in name.split("/"):
                raise Bad("listed twice, or elsewhere: " + plain(name))
            listed[name] = value
    there: set[str] = set()
    for folder, _, files in os.walk(top):
        there.update(os.path.relpath(os.path.join(folder, name), top) for name in files)
    there -= {"tagmanifest-sha256.txt", "tagmanifest-sha256.note"}
    wrong = {
        name: "it is gone" if name in listed else "nobody listed it: it was put in" for name in there ^ set(listed)
    }
    for name in there & set(listed):
        if file_digest(os.path.join(top, name)) != listed[name]:
            wrong[name] = "it was altered"
    for name in sorted(wrong):
        tell.fail(f"file {plain(name)}: {wrong[name]}")
    if read(top, "bagit.txt") != b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n":
        raise Bad("bagit.txt is not of a bag of version 1.0")
    if not wrong:
        tell.ok(f"files: {len(listed)}, all as they are listed")


class Ledger:
    """The recorder's keys and its newest checkpoint, both as the bundle has them."""

    def __init__(self, tell: Tell, top: str, own_key: str | None) -> None:
        self.top = top
        given = parse_key(read(top, "evidence/ledger.vkey").decode())
        mine = given
        if own_key:
            text = read(own_key).decode()
            mine = parse_pem(text, given.name) if "-----" in text else parse_key(text)
        else:
            tell.note(f"key {given.id().hex()} came with the bundle: hold it against a copy from elsewhere (--key)")
        self.keys: list[Key] = [mine]
        proofs = [read(top, "evidence/rotations", name) for name in names(top, "evidence/rotations")]
        rotations = [read_rotation(json.loads(base64.b64decode(data.split(b"\n")[1][6:]))) for data in proofs]
        for old, new in rotations:  # a key that yours says is to follow it
            if old._replace(until=0) == self.keys[0]:
                self.keys[0:1] = [new, old]
        if given != self.keys[0] or parse_pem(read(top, "evidence/ledger.pub.pem").decode(), given.name) != given:
            raise Bad("the bundle was made with another key than yours")
        self.checkpoint = open_checkpoint(read(top, "evidence/checkpoint"), self.keys)
        for old, new in reversed(rotations):  # keys from before: the one that followed says so
            if (new.public == self.keys[-1].public) and old not in self.keys:
                self.keys.append(old)
        for data in proofs:
            open_proof(data, self.keys)  # it stands in the ledger as well
        tell.ok(f"ledger: {plain(mine.name)} signed its first {self.checkpoint.size} entries")

    def vouches(self, signature: bytes, data: bytes) -> bool:
        """Say whether one of the keys signed data."""
        return any(key.signed(signature, data) for key in self.keys)


def check_note(tell: Tell, ledger: Ledger) -> None:
    """What the recorder signed when it made the bundle: all of it."""
    said = open_note(read(ledger.top, "tagmanifest-sha256.note"), ledger.keys).split("\n")
    if said[0] != "vittne-bundle/1" or said[1] != digest(read(ledger.top, "tagmanifest-sha256.txt")):
        raise Bad("the recorder signed another bundle")
    tell.ok("bundle: the recorder signed all of it when it was made")


def check_manifests(ledger: Ledger, rec: str) -> tuple[dict[str, Any], str]:
    """Return the newest manifest and its hash, when it and those of the versions before are signed and fit."""
    folder = os.path.join(ledger.top, "data", rec)
    text = read(folder, "manifest.json")
    manifest = newest = json.loads(text)
    signature = read(folder, "manifest.sig")
    sha256 = digest(text)
    while True:
        if not ledger.vouches(signature, text):
            raise Bad("it carries no valid signature of the recorder's key")
        if manifest["rec"] != rec or manifest["v"] != 1:
            raise Bad("it is that of another recording")
        if "cut" not in manifest:
            return newest, sha256
        before, version = manifest["cut"]["before"], manifest["cut"]["version"] - 1
        text, signature = (read(folder, f"manifest.{version}.{end}") for end in ("json", "sig"))
        if digest(text) != before:
            raise Bad(f"version {version} is not the one that was cut")
        manifest = json.loads(text)


def check_parts(tell: Tell, folder: str, manifest: dict[str, Any]) -> None:
    """The sealed parts are those that the manifest names; or none of them is in the bundle."""
    parts = {part["file"]: part for part in manifest["parts"]}
    there = {name for name in names(folder) if name.endswith(".floe")}
    if not there:
        return tell.note("parts: the sealed parts are not in this bundle")
    if there != set(parts):
        raise Bad("they are not the ones that the manifest names")
    for name, part in parts.items():
        path = os.path.join(folder, name)
        if os.path.getsize(path) != part["bytes"] or file_digest(path) != part["sha256"]:
            raise Bad(f"{name} is not the file that was sealed")
    return tell.ok(f"parts: {len(parts)}, as they were sealed")


def check_entries(ledger: Ledger, rec: str, sha256: str) -> list[Proof]:
    """Return what the ledger says of a recording; the newest entry about a version must be of this manifest."""
    folder = os.path.join(ledger.top, "evidence", rec)
    proofs = [open_proof(read(folder, "manifest.tlog-proof"), ledger.keys, read(folder, "leaf.json"))]
    proofs += [open_proof(read(folder, name), ledger.keys) for name in names(folder) if name.startswith("entry-")]
    for proof in proofs:
        if proof.checkpoint != ledger.checkpoint or rec not in [proof.entry.get("rec"), *proof.entry.get("recs", [])]:
            raise Bad(f"entry {proof.number} is of another recording or checkpoint")
    newest = max((one for one in proofs if one.entry["t"] in ("rec.seal", "rec.cut")), key=lambda one: one.number)
    if newest.number != proofs[0].number or proofs[0].entry["manifest"] != sha256:
        raise Bad("it has entered another manifest for this recording")
    if any(one.entry["t"] == "rec.erase" for one in proofs):
        raise Bad("the recording was erased")
    return proofs


def check_audit(tell: Tell, folder: str, proofs: list[Proof]) -> None:
    """Every row of the audit trail is what the ledger's entry fixed, and no row is missing."""
    fixed = {one.number: one.entry for one in proofs if "row" in one.entry}
    rows = [json.loads(line) for line in read(folder, "audit.jsonl").splitlines()]
    for row in rows:
        if row["entry"] not in fixed:
            raise Bad("a row has no entry in the ledger: " + plain(row["at"]))
        said = {name: value for name, value in row.items() if name not in ("salt", "entry")}
        text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        entry = fixed.pop(row["entry"])
        if (entry["row"], entry["t"]) != (digest(bytes.fromhex(row["salt"]) + text), row["kind"]):
            raise Bad("a row was altered: " + plain(row["at"]))
        tell.note("  {} {} by {} ({})".format(*(plain(row[name]) for name in ("at", "kind", "actor", "via"))))
    if fixed:
        raise Bad(f"rows are missing: entries {sorted(fixed)}")
    tell.ok(f"audit trail: {len(rows)} rows, as the ledger fixed them")


def check_meta(tell: Tell, folder: str, manifest: dict[str, Any]) -> None:
    """Who, when, and what is not there."""
    for gap in manifest["gaps"]:
        tell.note("  missing: {} to {}, {}".format(*(plain(gap[name]) for name in ("from", "to", "reason"))))
    if not os.path.exists(os.path.join(folder, "meta.json")):
        return tell.note("meta: who called whom is sealed, and not told in this bundle")
    text = read(folder, "meta.json")
    if digest(text) != manifest["meta_sha256"]:
        raise Bad("who, when and what was paused is not what the manifest vouches for")
    meta = json.loads(text)
    about = tuple(plain(meta[name]) for name in ("caller", "callee", "started_at", "ended_at", "outcome"))
    tell.ok("meta: {} called {}, {} to {}, {}".format(*about))
    for one in meta["details"].get("pauses", []):
        words = (one["effective_from"], one["effective_to"], one["trigger"], one["packets"])
        tell.note("  paused: {} to {} by {}, {} packets are not stored".format(*map(plain, words)))
    return None


def check_derived(ledger: Ledger, folder: str, sha256: str) -> None:
    """What was made of the recording: sound, and the vCon with its own signature."""
    derived = json.loads(read(folder, "derived.json"))
    for one in derived["files"]:
        if derived["manifest"] != sha256 or file_digest(os.path.join(folder, one["file"])) != one["sha256"]:
            raise Bad("{} is not the file that was made".format(plain(one["file"])))
    vcon = json.loads(read(folder, "vcon.json"))
    for one in vcon.get("signatures", []):
        signed = ("{}.{}".format(one["protected"], vcon["payload"])).encode()
        signature = base64.urlsafe_b64decode(one["signature"] + "==")
        if not any(key.signed_jws(signature, signed) for key in ledger.keys):
            raise Bad("vcon.json carries no valid signature of the recorder's key")


def imported(manifest: dict[str, Any], *members: str) -> list[str]:
    """Return what the signed manifest says of where a recording came from."""
    return [plain(manifest["imported"].get(name, "?")) for name in members]


def check_recording(tell: Tell, ledger: Ledger, rec: str) -> Proof | None:
    """Check all of one recording; return its entry in the ledger."""
    tell.note(f"recording {plain(rec)}")
    folder = os.path.join(ledger.top, "data", rec)
    found = tell.look("manifest", check_manifests, ledger, rec)
    if found is None:
        return None
    manifest, sha256 = found
    version = manifest.get("cut", {}).get("version", 1)
    tell.ok(f"manifest: signed, state {plain(manifest['state'])}, version {version}")
    if "imported" in manifest:
        tell.note("  IMPORTED, not captured: from a {} with SHA-256 {}".format(*imported(manifest, "from", "sha256")))
        tell.note("  its own signature when it came: {}; kept: {}".format(*imported(manifest, "signature", "kept")))
    tell.look("parts", check_parts, tell, folder, manifest)
    tell.look("meta", check_meta, tell, folder, manifest)
    tell.look("derived", check_derived, ledger, folder, sha256)
    proofs: list[Proof] | None = tell.look("ledger", check_entries, ledger, rec, sha256)
    if proofs is None:
        return None
    tell.ok(f"ledger: entered as number {proofs[0].number} at {plain(proofs[0].entry['at'])}")
    tell.look("audit trail", check_audit, tell, folder, proofs)
    return proofs[0]


def check_stamp(tell: Tell, ledger: Ledger, name: str, entries: dict[str, Proof], ca: str | None) -> None:
    """An authority saw a checkpoint at a time; the ledger of now begins with it; what it covers was there."""
    folder = os.path.join(ledger.top, "evidence", "stamps", name)
    note, token = read(folder, "checkpoint"), read(folder, "token.tsr")
    checkpoint = open_checkpoint(note, ledger.keys)
    check_consistency(checkpoint, ledger.checkpoint, read(folder, "consistency.txt"))
    stamp = read_stamp(token, note)
    trusted = read(ca) if ca else read(folder, "chain.pem")
    if shutil.which("openssl"):
        files = {"token.tsr": token, "checkpoint": note, "ca.pem": trusted, "chain.pem": read(folder, "chain.pem")}
        command = ["ts", "-verify", "-in", "token.tsr", "-data", "checkpoint", "-CAfile", "ca.pem"]
        refused = openssl([*command, "-untrusted", "chain.pem", "-attime", str(stamp.seconds)], files)
        if refused:
            raise Bad("openssl does not accept the token: " + plain(refused))
        tell.ok(f"stamp {plain(name)}: {stamp.time}, signed by the authority, over {checkpoint.size} entries")
    else:
        tell.note(f"stamp {plain(name)}: {stamp.time}; NOT CHECKED who signed it: there is no openssl")
    if not ca:
        tell.note("  its authority's certificates came with the bundle: give those that you trust (--ca)")
    for rec, proof in entries.items():
        if proof.number >= checkpoint.size:
            continue
        at = calendar.timegm(time.strptime(proof.entry["at"][:19], "%Y-%m-%dT%H:%M:%S"))
        if at > stamp.seconds + CLOCK_S:
            raise Bad(f"the recorder says that it sealed {plain(rec)} later than that: a clock was wrong")
        own = open_proof(read(folder, rec + ".tlog-proof"), ledger.keys, read(ledger.top, "evidence", rec, "leaf.json"))
        if own.number != proof.number or own.checkpoint != checkpoint:
            raise Bad("it does not cover what it should")
        tell.ok(f"  so recording {plain(rec)} was sealed no later than {stamp.time}")


def check_kept(tell: Tell, ledger: Ledger, path: str) -> None:
    """The ledger begins with the entries that it had when you kept a checkpoint."""
    kept: Checkpoint = open_checkpoint(read(path), ledger.keys)
    if kept.size > ledger.checkpoint.size:
        raise Bad(
            "the bundle is older than the checkpoint that you kept, or its ledger was shortened: ask for a new one"
        )
    proof = os.path.join(ledger.top, "evidence", f"consistency-{kept.size}.txt")
    if kept.size < ledger.checkpoint.size and not os.path.exists(proof):
        raise Bad("the bundle has no proof for this checkpoint: have it made with `vittne bundle --checkpoint FILE`")
    check_consistency(kept, ledger.checkpoint, read(proof) if kept.size < ledger.checkpoint.size else b"")
    tell.ok("kept checkpoint: the ledger still begins with it")


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(description="Check an evidence bundle.")
    options.add_argument("folder", nargs="?", default=HERE, help="the bundle; default: where this program lies")
    for name in ("--key", "--ca", "--checkpoint"):
        options.add_argument(name, metavar="FILE")
    options.add_argument("--unsigned", action="store_true")
    given = options.parse_args(arguments)
    tell, top = Tell(), given.folder
    tell.look("files", check_bag, tell, top)
    ledger: Ledger | None = tell.look("ledger", Ledger, tell, top, given.key)
    if ledger is not None:
        if os.path.exists(os.path.join(top, "tagmanifest-sha256.note")):
            tell.look("bundle", check_note, tell, ledger)
        else:
            words = "bundle: the recorder did not sign it as a whole; what has no proof of its own proves nothing"
            (tell.note if given.unsigned else tell.fail)(words)
        found = {rec: tell.look(plain(rec), check_recording, tell, ledger, rec) for rec in names(top, "data")}
        entries = {rec: proof for rec, proof in found.items() if proof is not None}
        if not found:
            tell.fail("data: there is no recording")
        stamps = names(top, "evidence", "stamps")
        for name in stamps:
            tell.look("stamp " + plain(name), check_stamp, tell, ledger, name, entries, given.ca)
        if not stamps:
            tell.note("stamps: no third party vouches for the time; all times are of the recorder's clock")
        if given.checkpoint:
            tell.look("kept checkpoint", check_kept, tell, ledger, given.checkpoint)
    print(f"{tell.failed} checks FAILED: do not rely on this bundle" if tell.failed else "Nothing fails.")
    return 1 if tell.failed else 0


def start() -> NoReturn:
    sys.exit(main())


if __name__ == "__main__":
    start()
