"""Where a root is kept: seal it into an envelope by the configuration, open an envelope by what it says itself.

Every root is 32 random bytes made here. A token or TPM never holds it: it holds the key that the root is wrapped
with. That way recovery shares work with every provider, and a million rows are wrapped anew in memory instead of by a
million calls to a token. The price: while the archive is unlocked the root is in the memory of one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vittne.appliance.datadir import config_file, read_toml
from vittne.appliance.keyring import envelope as passphrases
from vittne.appliance.keyring.envelope import NONE, PASSPHRASE, Envelope
from vittne.appliance.keyring.errors import KeysLocked, KeysMismatch
from vittne.appliance.keyring.secretfile import (
    PIN_CREDENTIAL,
    PIN_VARIABLE,
    named_file,
    passphrase_from,
    read_secret,
)

if TYPE_CHECKING:
    from vittne.appliance.keyring.settings import KeysConfig

PKCS11: Final = "pkcs11"
TPM2: Final = "tpm2"


def seal(root: bytes, root_id: str, config: KeysConfig, secret: bytes | None) -> Envelope:
    """Return the envelope of a root. secret: the passphrase, or the token's PIN. Raises KeysLocked and its kinds."""
    if config.provider == PKCS11:
        from vittne.appliance.keyring import pkcs11root  # noqa: PLC0415 - loads a library

        assert config.pkcs11_module is not None
        token = pkcs11root.Token(config.pkcs11_module, config.pkcs11_token, config.pkcs11_key)
        return pkcs11root.seal(root, root_id, token, secret)
    if config.provider == TPM2:
        from vittne.appliance.keyring import tpm2root  # noqa: PLC0415

        return tpm2root.seal(root, config.tpm2_tcti, config.tpm2_pcrs)
    if secret is None:
        raise KeysLocked("a passphrase is needed", "keys", "give one")
    return passphrases.sealed(root, secret, bool(config.fips))


def unseal(envelope: Mapping[str, Any], root_id: str, secret: bytes | None, where: str) -> bytes:
    """Return the root in an envelope. where: the file, for errors. Raises KeysLocked and its kinds, KeysMismatch."""
    kind = envelope.get("provider")
    if kind == PKCS11:
        from vittne.appliance.keyring import pkcs11root  # noqa: PLC0415

        return pkcs11root.unseal(envelope, root_id, secret)
    if kind == TPM2:
        from vittne.appliance.keyring import tpm2root  # noqa: PLC0415

        return tpm2root.unseal(envelope)
    if kind in (PASSPHRASE, NONE):
        return passphrases.opened(envelope, secret, where)
    raise KeysMismatch(f"the root is kept by {kind!r:.40}, which is not known", where, "use a newer vittne")


def secret_for(kind: str, environ: Mapping[str, str], config: KeysConfig | None = None) -> bytes | None:
    """Return what a provider needs to open, from where the environment or the configuration says; None for nothing.

    config: None has the configuration file looked at, as far as it is there. Raises KeysMissing, KeysExposed.
    """
    if kind == PASSPHRASE:
        return passphrase_from(environ, _configured("passphrase_file", environ, config))
    if kind == PKCS11:
        path = named_file(environ, PIN_VARIABLE, PIN_CREDENTIAL) or _configured("pkcs11_pin_file", environ, config)
        return None if path is None else read_secret(path)
    return None


def _configured(key: str, environ: Mapping[str, str], config: KeysConfig | None) -> Path | None:
    if config is not None:
        found: Path | None = getattr(config, key)
        return found
    file = config_file(None, environ)
    section = read_toml(file).get("keys") if file is not None else None
    named = section.get(key) if isinstance(section, dict) else None
    return Path(named) if isinstance(named, str) else None
