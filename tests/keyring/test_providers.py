"""Where the root is kept: a token of SoftHSM2 and a TPM of swtpm, both real programs; and what goes wrong there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, ObjectClass
from rig import hardware
from rig.hardware import MODULE, PIN
from rig.keys import Keys

from vittne.appliance.keyring import pkcs11root, rotation, shares, tpm2root
from vittne.appliance.keyring.errors import KeysLocked, KeysMismatch, PcrsChanged, PinRefused, TokenMissing
from vittne.appliance.keyring.opening import keys_warning, open_vault
from vittne.appliance.keyring.pkcs11root import Token
from vittne.appliance.keyring.settings import KeysConfig
from vittne.appliance.keyring.tpm2root import _POLICY_FAILED
from vittne.appliance.store.errors import StoreError

ROOT = bytes(range(32))


@pytest.fixture
def token(tokens: None, request: pytest.FixtureRequest) -> Token:
    label = f"t{abs(hash(request.node.name)) % 10**8}"
    hardware.make_token(label)
    return Token(MODULE, label, "vittne-root")


def test_a_token_gives_the_root_back_and_keeps_its_own_key(token: Token) -> None:
    envelope = pkcs11root.seal(ROOT, "id", token, PIN)

    assert pkcs11root.unseal(envelope, "id", PIN) == ROOT
    assert ROOT.hex() not in str(envelope)
    with pkcs11.lib(str(MODULE)).get_token(token_label=token.token).open(user_pin=PIN.decode()) as session:
        (key,) = session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY})
        found = [key[name] for name in (Attribute.KEY_TYPE, Attribute.VALUE_LEN, Attribute.EXTRACTABLE)]
        assert found == [KeyType.AES, 32, False]
        with pytest.raises(pkcs11.exceptions.AttributeSensitive):
            key[Attribute.VALUE]


def test_a_second_root_uses_the_key_that_is_there(token: Token) -> None:
    first = pkcs11root.seal(ROOT, "id", token, PIN)
    pkcs11root.seal(bytes(32), "other", token, PIN)

    assert pkcs11root.unseal(first, "id", PIN) == ROOT


def test_a_wrong_pin_is_tried_once_and_not_again(token: Token) -> None:
    envelope = pkcs11root.seal(ROOT, "id", token, PIN)

    with pytest.raises(PinRefused, match="wrong; it was tried once"):
        pkcs11root.unseal(envelope, "id", b"0000")
    for _ in range(3):  # as a service does that is started again and again
        with pytest.raises(PinRefused, match="not tried again"):
            pkcs11root.unseal(envelope, "id", b"0000")

    with pkcs11.lib(str(MODULE)).get_token(token_label=token.token).open(user_pin=PIN.decode()):
        pass
    assert pkcs11root.unseal(envelope, "id", PIN) == ROOT


def test_a_missing_pin_token_key_or_library_is_named(token: Token, tmp_path: Path) -> None:
    envelope = pkcs11root.seal(ROOT, "id", token, PIN)

    with pytest.raises(KeysLocked, match="needs its PIN"):
        pkcs11root.unseal(envelope, "id", None)
    with pytest.raises(TokenMissing, match=r"no such token.*vittne keys recover"):
        pkcs11root.unseal({**envelope, "token": "nowhere"}, "id", PIN)
    with pytest.raises(TokenMissing, match="does not hold the key"):
        pkcs11root.unseal({**envelope, "key": "nothing"}, "id", PIN)
    with pytest.raises(TokenMissing, match="no such PKCS #11 library"):
        pkcs11root.unseal({**envelope, "module": str(tmp_path / "none.so")}, "id", PIN)
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(TokenMissing, match="does not work"):
        pkcs11root.unseal({**envelope, "module": str(tmp_path / "text.so")}, "id", PIN)


def test_an_altered_envelope_or_another_roots_is_refused(token: Token) -> None:
    envelope = pkcs11root.seal(ROOT, "id", token, PIN)

    with pytest.raises(KeysMismatch, match="does not open the root"):
        pkcs11root.unseal(envelope, "another", PIN)
    with pytest.raises(KeysMismatch, match="cannot be read"):
        pkcs11root.unseal({**envelope, "iv": 7}, "id", PIN)


def test_a_key_that_can_be_read_out_of_the_token_is_not_used(token: Token) -> None:
    library = pkcs11.lib(str(MODULE))
    library.reinitialize()  # it looks for tokens once
    with library.get_token(token_label=token.token).open(rw=True, user_pin=PIN.decode()) as session:
        weak = {Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False}
        session.generate_key(KeyType.AES, 256, label="weak", store=True, template=weak)

    with pytest.raises(KeysMismatch, match="can be read out"):
        pkcs11root.seal(ROOT, "id", replace(token, key="weak"), PIN)


def test_an_archive_moves_to_a_token_and_comes_back_with_shares_when_it_is_lost(keys: Keys, token: Token) -> None:
    rec = keys.record(1)
    keys.adopt(rec, "main", "a", "2030-01")
    config = KeysConfig(provider="pkcs11", pkcs11_module=MODULE, pkcs11_token=token.token)
    rotation.reseal(keys.data_dir, keys.vault, keys.ledger, config, PIN)
    printed = shares.make_shares(keys.vault.root)

    with pytest.raises(KeysLocked, match="needs its PIN"):
        open_vault(keys.data_dir)
    assert open_vault(keys.data_dir, PIN).root == keys.vault.root

    vault = rotation.vault_of(keys.data_dir, shares.combine(printed[1:4]))
    rotation.recover(keys.data_dir, vault, keys.ledger, KeysConfig(), b"correct horse")
    assert open_vault(keys.data_dir, b"correct horse").root == keys.vault.root
    assert [event["t"] for event in keys.events()][-2:] == ["key.seal", "key.recover"]


def test_a_tpm_gives_the_root_back_until_its_pcrs_change() -> None:
    with hardware.tpm() as tcti:
        envelope = tpm2root.seal(ROOT, tcti, (0, 7))
        assert tpm2root.unseal(envelope) == ROOT
        assert tpm2root.unseal(envelope) == ROOT

        hardware.extend_pcr(tcti, 7)

        with pytest.raises(PcrsChanged, match=r"PCRs changed.*use the recovery shares"):
            tpm2root.unseal(envelope)
    assert len(_POLICY_FAILED) > 1
    assert ROOT.hex() not in str(envelope)


def test_another_tpm_does_not_open_the_root() -> None:
    with hardware.tpm() as tcti:
        envelope = tpm2root.seal(ROOT, tcti, (0, 7))
    with hardware.tpm() as other, pytest.raises(PcrsChanged, match=r"another TPM.*recovery shares"):
        tpm2root.unseal({**envelope, "tcti": other})


def test_a_tpm_that_is_not_there_is_named() -> None:
    with pytest.raises(TokenMissing, match=r"cannot be reached.*tpm2_tcti"):
        tpm2root.seal(ROOT, "swtpm:path=/nowhere/tpm", (0,))


def test_an_archive_on_a_tpm_is_warned_about_until_there_are_shares(keys: Keys) -> None:
    with hardware.tpm() as tcti:
        config = KeysConfig(provider="tpm2", tpm2_tcti=tcti)
        rotation.reseal(keys.data_dir, keys.vault, keys.ledger, config, None)

        assert open_vault(keys.data_dir).root == keys.vault.root
        assert "without recovery shares" in (keys_warning(keys.data_dir) or "")
        hardware.extend_pcr(tcti, 4)
        with pytest.raises(StoreError, match="vittne keys recover"):
            open_vault(keys.data_dir)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"provider": "pkcs11"}, "pkcs11_module"),
        ({"provider": "tpm2", "tpm2_pcrs": []}, "tpm2_pcrs is empty"),
        ({"tpm2_pcrs": [24]}, "0 to 23"),
        ({"provider": "paper"}, "provider"),
        ({"site": "Two Words"}, "site"),
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KeysConfig.model_validate(given)
