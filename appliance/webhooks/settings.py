"""What can be set about webhooks: the section [webhooks] of the configuration.

[webhooks]
networks = ["10.1.0.0/16"]     # of one's own that may be told; without, only the internet
ca = "/etc/vittne/inside.pem"  # who vouches for servers there
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator


class WebhooksConfig(BaseModel):
    """plain_http: also addresses that begin with http:. timeout_s: for one try."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    enabled: bool = True
    networks: tuple[str, ...] = Field(default=(), strict=False, max_length=64)
    plain_http: bool = False
    ca: Path | None = Field(default=None, strict=False)
    timeout_s: float = Field(default=15.0, ge=1, le=60)

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(f"{network[:60]!r} is no network, such as 10.1.0.0/16") from None
        return networks
