"""What tests read of a ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.scan import read_entry
from vittne.appliance.seal.signing import load_verifier


def lines(data_dir: Path) -> list[bytes]:
    """Every entry as it was hashed."""
    return [entry for _, entry in LedgerView(data_dir / "ledger", load_verifier(data_dir / "keys")).entries()]


def entries(data_dir: Path) -> list[dict[str, Any]]:
    """Every entry as an object."""
    return [dict(read_entry(line)) for line in lines(data_dir)]


def journal(data_dir: Path) -> bytes:
    """The journal without the zeros that it was begun with."""
    return (data_dir / "ledger/journal").read_bytes().rstrip(b"\0")
