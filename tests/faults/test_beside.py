"""The fault table, beside the recorder: its shared catalogue goes while calls are up."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import network
from faults.stage import Stage
from faults.test_table import CALLS, nothing_is_damaged
from rig.postgres import cluster

pytestmark = pytest.mark.faults


def test_a_database_that_is_away_for_a_minute_costs_no_packet_and_gets_all_afterwards(tmp_path: Path) -> None:
    with cluster() as server, Stage(tmp_path, CALLS, network.AWAY_S + 12, network.shared(server)) as stage:
        stage.start()
        with stage.talking():
            network.database_away(server)
        stage.settle()
        came = network.shipped(server, CALLS)
        found = stage.finish()

    nothing_is_damaged(found)
    assert (found.tally.lost, found.tally.outcomes, came) == (0, {"recorded": CALLS}, CALLS), found
    assert "catalogue-late" in found.alarms
    assert "catalogue-late" in found.cleared
