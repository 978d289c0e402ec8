"""Recordings leave a data directory, as a recorder lets them after store.keep_local."""

from __future__ import annotations

import asyncio
from pathlib import Path

from vittne.appliance.control.server import Operator
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.life.settings import StoreConfig
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.registrar import Registrar
from vittne.appliance.storage.known import known_targets
from vittne.appliance.storage.runner import StorageRunner


def leave(data: Path, immutable: bool = False) -> int:
    """Let go of what was copied; return of how many recordings."""
    registrar = Registrar(data)
    registrar.life_policy = LifePolicy(immutable=immutable)
    try:
        local = StoreConfig(immutable=immutable)
        runner = StorageRunner(Operator(registrar, OPERATIONS), data, known_targets(data), local)
        return asyncio.run(runner.leave(0))
    finally:
        registrar.close()
