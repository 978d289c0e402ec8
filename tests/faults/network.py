"""What is done beside the recorder while calls are up: its database goes."""

from __future__ import annotations

import time
from typing import Final

from rig.postgres import Cluster

AWAY_S: Final = 60.0


def shared(cluster: Cluster) -> str:
    """Return the tables of a configuration that shares its catalogue."""
    return f'[catalogue]\nurl = "{cluster.url()}"\nname = "Berlin"\nlate_after_minutes = 0.1\n'


def database_away(cluster: Cluster) -> None:
    """Stop the server for a minute."""
    cluster.stop()
    time.sleep(AWAY_S)
    cluster.start()


def shipped(cluster: Cluster, wanted: int, timeout_s: float = 90.0) -> int:
    """Wait until the server knows of so many calls that are over; return how many it knows."""
    deadline = time.monotonic() + timeout_s
    while True:
        (schema,) = cluster.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'box\\_%'")
        ((found,),) = cluster.sql(f'SELECT count(*) FROM "{schema[0]}".calls WHERE outcome IS NOT NULL')
        if found >= wanted or time.monotonic() > deadline:
            return int(found)
        time.sleep(1)
