"""What joserfc may read and write for vCons. Its own bounds are for tokens; a vCon can hold an hour of sound."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from joserfc.jwe import JWERegistry
from joserfc.jws import JWSRegistry

LIMIT: Final = 1 << 30  # bytes; an hour of stereo sound inline has some 150 MB
_HEADER: Final = 65_536  # certificates may stand in the protected header


def signing(algorithms: Collection[str]) -> JWSRegistry:
    """Return the registry for signed vCons; headers that the RFC does not name are let through, such as uuid."""
    registry = JWSRegistry(algorithms=algorithms, strict_check_header=False)
    registry.max_header_length = _HEADER
    registry.max_payload_length = LIMIT
    return registry


def encrypting(algorithms: Collection[str]) -> JWERegistry:
    """Return the registry for encrypted vCons."""
    registry = JWERegistry(algorithms=algorithms, strict_check_header=False)
    registry.max_ciphertext_length = LIMIT
    registry.max_protected_header_length = _HEADER
    return registry
