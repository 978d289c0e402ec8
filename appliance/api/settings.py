"""What can be set about the API: the section [api] of the configuration.

[api]
listen = ["127.0.0.1", "10.0.0.5"]
certificate = "/etc/vittne/api.pem"
key = "/etc/vittne/api.key"
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class ApiSettings(BaseModel):
    """Where the API listens, and as whom. Without certificate and key it makes its own.

    metrics_from: networks that may read /metrics without a token.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    enabled: bool = True
    listen: tuple[str, ...] = Field(default=("127.0.0.1", "::1"), strict=False, min_length=1, max_length=16)
    port: int = Field(default=8443, ge=1, le=65_535)
    certificate: Path | None = Field(default=None, strict=False)
    key: Path | None = Field(default=None, strict=False)
    body_limit_bytes: int = Field(default=65_536, ge=1024, le=16_777_216)
    metrics_from: tuple[str, ...] = Field(default=(), strict=False, max_length=64)

    @field_validator("listen")
    @classmethod
    def _addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise ValueError(f"{address[:60]!r} is no address of this machine: names are not looked up") from None
        if len(set(addresses)) < len(addresses):
            raise ValueError("an address is named twice")
        return addresses

    @field_validator("metrics_from")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(f"{network[:60]!r} is no network, such as 10.0.0.0/24") from None
        return networks

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together: give both, or none")
        return self
