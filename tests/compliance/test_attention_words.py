"""What somebody should look at is said in the language of who looks, and in English to programs."""

from __future__ import annotations

from pathlib import Path

from cuts import REC, three_parts
from rig.desks import Desk, person, run_desks

from vittne.appliance.life.policy import LifePolicy


def test_the_same_points_are_english_over_the_api_and_german_on_the_page(tmp_path: Path) -> None:
    data = tmp_path / "data"
    three_parts(data)

    async def use(desk: Desk) -> None:
        cleo = await person(desk, "cleo", "compliance")
        desk.registrar.life_policy = LifePolicy(frozenset({"erase"}))
        assert (await cleo.ask("POST", f"recordings/{REC}/erase", json={"reason": "asked"})).status == 202
        words = [one["words"] for one in (await cleo.get("attention")).json["points"]]
        assert "1 request waits for a second person" in words
        assert "no backup was ever made ([backup] says where to)" in words
        page = await desk.log_in("cleo", "/compliance", locale="de-DE")
        shown = await page.inner_text("main")
        assert "1 Antrag wartet auf eine zweite Person" in shown
        assert "es wurde noch nie gesichert ([backup] sagt, wohin)" in shown
        assert not [one for one in words if one in shown]

    run_desks(data, use)
