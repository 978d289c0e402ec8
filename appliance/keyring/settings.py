"""The section [keys] of the configuration: where the root is kept, and what kind of cryptography is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ProviderName = Literal["passphrase", "pkcs11", "tpm2"]

DEFAULT_TCTI: Final = "device:/dev/tpmrm0"
DEFAULT_PCRS: Final = (0, 2, 4, 7)


class KeysConfig(BaseModel):
    """The section [keys]. What does not belong to the provider that is chosen is not looked at."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    provider: ProviderName = "passphrase"
    passphrase_file: Path | None = Field(default=None, strict=False)
    site: str = Field(default="main", min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    fips: bool | Literal["primitives"] = False
    pkcs11_module: Path | None = Field(default=None, strict=False)
    pkcs11_token: str = Field(default="vittne", min_length=1, max_length=32)
    pkcs11_key: str = Field(default="vittne-root", min_length=1, max_length=64)
    pkcs11_pin_file: Path | None = Field(default=None, strict=False)
    tpm2_tcti: str = Field(default=DEFAULT_TCTI, min_length=1, max_length=200)
    tpm2_pcrs: tuple[int, ...] = Field(default=DEFAULT_PCRS, strict=False, max_length=24)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.provider == "pkcs11" and self.pkcs11_module is None:
            raise ValueError("provider is pkcs11, and pkcs11_module names no library")
        if self.provider == "tpm2" and not self.tpm2_pcrs:
            raise ValueError("provider is tpm2, and tpm2_pcrs is empty")
        if any(not 0 <= number <= 23 for number in self.tpm2_pcrs):
            raise ValueError("tpm2_pcrs holds numbers of 0 to 23")
        return self
