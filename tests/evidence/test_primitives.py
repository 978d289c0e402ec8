"""What verify.py is made of: signatures as their standards have them, keys that follow one another, an old Python."""

from __future__ import annotations

import ast
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rig.bundles import SOURCE

from vittne.appliance.seal.merkle import GrowingTree
from vittne.appliance.seal.note import Checkpoint, sign_note
from vittne.appliance.seal.signing import SigningKey, new_key
from vittne.appliance.seal.succession import Rotation, statement
from vittne.appliance.seal.tlogproof import TlogProof

sys.path.insert(0, str(SOURCE))  # as a stranger's Python finds them
primitives: Any = importlib.import_module("primitives")
verify: Any = importlib.import_module("verify")


@pytest.mark.parametrize("name", ["verify.py", "primitives.py"])
def test_it_is_short_and_runs_on_an_old_python(name: str) -> None:
    text = (SOURCE / name).read_text()

    ast.parse(text, feature_version=(3, 8))
    assert len(text.splitlines()) < 400
    imported = {
        alias.name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        for alias in (node.names if isinstance(node, ast.Import) else ())
    }
    assert imported <= sys.stdlib_module_names


# RFC 8032, section 7.1, tests 1 to 3
ED25519 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), ED25519)
def test_ed25519_is_that_of_the_rfc(public: str, message: str, signature: str) -> None:
    key, told, signed = (bytes.fromhex(text) for text in (public, message, signature))

    assert primitives.ed25519_holds(key, signed, told)
    for at in (0, 31, 32, 63):
        changed = bytearray(signed)
        changed[at] ^= 1
        assert not primitives.ed25519_holds(key, bytes(changed), told)
    assert not primitives.ed25519_holds(key, signed, told + b"\0")
    large = (int.from_bytes(signed[32:], "little") + primitives.ORDER).to_bytes(32, "little")
    assert not primitives.ed25519_holds(key, signed[:32] + large, told)  # section 5.1.7: s below the order


def test_p256_keys_of_a_ledger_are_checked_by_openssl() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    info = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = primitives.Key("vittne/1", 2, info)
    signature = private.sign(b"text", ec.ECDSA(hashes.SHA256()))

    assert key.signed(signature, b"text")
    assert not key.signed(signature, b"other")
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert primitives.parse_pem(pem, "vittne/1") == key


def test_a_key_that_followed_another_is_taken_when_the_other_said_so(tmp_path: Path) -> None:
    """As the key process writes it: `key.rotate` with both keys and the old one's word for the new one."""
    old = new_key()
    new = SigningKey(new_key().private, old.name)

    def made(by: SigningKey, second: SigningKey = new) -> Path:
        told = new.verifier.text()
        said = statement(old.verifier, new.verifier, 1)
        rotation = Rotation(old.verifier, new.verifier, 1, by.sign(said), second.sign(said))
        line = json.dumps({"t": "key.rotate", "kind": "ledger", **rotation.members()}).encode()
        tree = GrowingTree()
        tree.add(line)
        note = sign_note(Checkpoint(new.name, 1, tree.root()).text(), new)
        top = tmp_path / (by.verifier.key_id + second.verifier.key_id).hex()
        (top / "evidence/rotations").mkdir(parents=True)
        (top / "evidence/rotations/entry-0.tlog-proof").write_bytes(TlogProof(0, (), note, line).text())
        (top / "evidence/ledger.vkey").write_text(told)
        (top / "evidence/ledger.pub.pem").write_bytes(new.verifier.pem())
        (top / "evidence/checkpoint").write_bytes(note)
        return top

    (tmp_path / "mine").write_bytes(old.verifier.pem())
    ledger = verify.Ledger(verify.Tell(), str(made(old)), str(tmp_path / "mine"))

    assert ledger.vouches(new.sign(b"x"), b"x")
    assert ledger.vouches(old.sign(b"x"), b"x")
    later = sign_note(Checkpoint(old.name, 2, bytes(32)).text(), old)
    with pytest.raises(primitives.Bad):  # what it signs after it was followed
        primitives.open_checkpoint(later, ledger.keys)
    for wrong in (made(new_key()), made(old, new_key())):
        with pytest.raises(primitives.Bad, match="did not follow"):
            verify.Ledger(verify.Tell(), str(wrong), str(tmp_path / "mine"))
