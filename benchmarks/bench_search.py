#!/usr/bin/env python3
"""How long people wait for a search: pages of 50 calls of a large catalogue, as API and console ask for them.

    python benchmarks/bench_search.py                # 20 000 calls
    python benchmarks/bench_search.py --full --save  # 100 000

Calls have two streams, a dialog, two parties with names, an agent and the details that a real one has (5 KB); one in
fifty has a pause, one in a hundred lies on hold. Timed is listing.search.find(): conditions, page, calls of the page
with corrections and holds, and who may see them. In half of the searches the roles of who asks show only some calls.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import report

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.profile import BUILT_IN
from vittne.appliance.listing.query import Query
from vittne.appliance.listing.search import count, find
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.holds import HoldRow, HoldTable
from vittne.appliance.store.rows import FINISHED, CallRow, StreamRow

SECOND = 1_000_000
END_US = 1_750_000_000 * SECOND
NAMES = ("Alice", "Bengt", "Chandra", "Doris", "Émile", "Fatima", "Göran", "Hanna", "Ivo", "Jürgen")
FAMILIES = ("Andersson", "Berg", "Ćosić", "Dahl", "Eriksson", "Fischer", "Große", "Holm", "Ito", "Jansen")
AGENTS = tuple(f"{name} {family}" for name in NAMES[:5] for family in FAMILIES)
CODECS = ("PCMA", "PCMU", "G722", "opus", "G729")
OUTCOMES = ("recorded",) * 17 + ("partial", "excluded-by-rule", "no-media")


def calls(number: int, dice: random.Random) -> Iterator[CallRow]:
    """Yield calls of some months, the oldest first."""
    for n in range(number):
        start = END_US - (number - n) * 40 * SECOND
        caller, callee = f"+4930{dice.randrange(10**7):07}", f"{2000 + dice.randrange(200)}"
        name, agent = f"{dice.choice(NAMES)} {dice.choice(FAMILIES)}", dice.choice(AGENTS)
        length = round(dice.expovariate(1 / 180) * SECOND)
        stream = StreamRow(
            *("caller", dice.choice(CODECS), 8, 8000, n, "10.0.0.1:4000", "10.0.0.2:5000", 9000, 9000, start, start),
            mos=round(dice.uniform(2.5, 4.5), 2),
        )
        pause = {"id": f"{n:032x}", "effective_from": None, "milliseconds": 12000, "trigger": "api", "by": "crm"}
        yield CallRow(
            f"{n * 2654435761 % 2**32:08x}-2222-4000-8000-{n:012x}",
            FINISHED,
            (f"{dice.getrandbits(96):024x}@pbx.example.org",),
            f"sip:{caller}@carrier.example",
            f"sip:{callee}@pbx.example.org",
            start,
            start + 4 * SECOND,
            start + 4 * SECOND + length,
            parties=({"seat": 0, "uri": f"sip:{caller}@carrier.example", "name": name}, {"seat": 1, "uri": ""}),
            end_reason="bye-caller",
            outcome=dice.choice(OUTCOMES),
            folder=f"recordings/x/{n}",
            size_bytes=10**6,
            streams=(stream, stream),
            details={
                "flags": [],
                "pauses": [pause] if n % 50 == 0 else [],
                "facts": {"agents": [agent], "headers": ["X-Queue: sales " * 20]},
                "dialogs": [{"call_id": "x" * 60, "caller": caller, "callee": callee, "words": "y" * 4000}],
            },
            site=dice.choice(("hq", "branch")),
            retention_class="gdpr-90d",
            tags=(f"order-{dice.randrange(10**6)}",) if n % 10 == 0 else (),
            announced="full" if n % 7 else "none",
        )


def asked(some: list[CallRow], dice: random.Random) -> Iterator[tuple[str, Query]]:
    """Yield the kinds of searches that people make, each for another call."""
    one = dice.choice(some)
    number = one.caller.removeprefix("sip:").partition("@")[0]
    yield "nothing", Query()
    yield "beginning of a number", Query(q=number[:8])
    yield "a number", Query(q=number)
    yield "a number's end", Query(number=number[-5:])
    yield "a name", Query(q=str(one.parties[0]["name"]))
    yield "two words", Query(q=f"{one.parties[0]['name'].split()[0]} {AGENTS[0].split()[1]}")
    yield "what nobody has", Query(q="zzyzx road")
    yield "what nobody has, sorted by duration", Query(q="zzyzx", sort="duration")
    yield "an agent, sorted by quality", Query(agent=AGENTS[3], sort="quality", order="asc")
    yield "a Call-ID", Query(call_id=one.call_ids[0])
    yield "a tag", Query(tag="order-77")
    yield "a day, with pauses", Query(days=1, paused=True)
    yield "held", Query(held=True)
    yield "not announced, long, bad", Query(announced="none", longer_s=600, worse_mos=3.0)
    yield "of one codec, longest first", Query(codec="opus", sort="duration")
    yield "by outcome", Query(sort="outcome", order="asc")
    yield "excluded", Query(outcome="excluded-by-rule,no-media")


def people() -> list[Principal]:
    """Return who asks."""
    supervisor = BUILT_IN["supervisor"]
    desk = supervisor.model_copy(update={"only": supervisor.only.model_copy(update={"agents": ("Alice *",)})})
    return [Principal("user", "1", "anna", (supervisor,)), Principal("user", "2", "bo", (desk,))]


def measure(
    catalogue: Catalogue, some: list[CallRow], rounds: int, dice: random.Random, processor: list[float]
) -> dict[str, list[float]]:
    """Return how long each kind took, s: first pages, pages deep inside, counts. processor: gets its time."""
    took: dict[str, list[float]] = {}

    def timed(kind: str, work: Any) -> Any:
        begun, used = time.perf_counter(), time.process_time()
        found = work()
        took.setdefault(kind, []).append(time.perf_counter() - begun)
        processor.append(time.process_time() - used)
        return found

    for n in range(rounds):
        who = people()[n % 2]
        for kind, query in asked(some, dice):
            timed(kind, lambda: find(catalogue, who, query, END_US, 50))  # noqa: B023
            timed(f"count: {kind}", lambda: count(catalogue, who, query, END_US))  # noqa: B023
        cursor = ""
        for _ in range(20):
            page = find(catalogue, who, Query(), END_US, 200, cursor)
            cursor = page.cursor
        timed("a page deep inside", lambda: find(catalogue, who, Query(), END_US, 50, cursor))  # noqa: B023
    return took


def quantile(values: list[float], share: float) -> float:
    """Return in ms what so many of the values are not above."""
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000, 1)


def main() -> None:
    """Measure, print, and keep if asked."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--full", action="store_true", help="100 000 calls")
    options.add_argument("--save", action="store_true", help="append the result to results/search.jsonl")
    options.add_argument("--folder", type=Path, help="where the catalogue is made; else in a temporary folder")
    given = options.parse_args()
    number, rounds = (100_000, 20) if given.full else (20_000, 6)
    dice = random.Random(7)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder) / "catalogue.db"
        some: list[CallRow] = []
        with Catalogue(path) as catalogue:
            rows = list(calls(number, dice))
            for first in range(0, number, 500):
                catalogue.upsert_calls(rows[first : first + 500])
            some = dice.sample(rows, 200)
            held = [row.id for row in dice.sample(rows, number // 100)]
            HoldTable(catalogue).place(HoldRow("1", "case", "", "", None, False, 1, "anna", salt=""), held)
        with Catalogue(path, read_only=True) as catalogue:
            processor: list[float] = []
            took = measure(catalogue, some, rounds, dice, processor)
    pages = [one for kind, times in took.items() if not kind.startswith("count: ") for one in times]
    counts = [one for kind, times in took.items() if kind.startswith("count: ") for one in times]
    slowest = max(
        (kind for kind in took if not kind.startswith("count: ")), key=lambda kind: quantile(took[kind], 0.95)
    )
    figures = {
        "searches": len(pages),
        "p50_ms": quantile(pages, 0.5),
        "p95_ms": quantile(pages, 0.95),
        "p99_ms": quantile(pages, 0.99),
        "p95_processor_ms": quantile(processor, 0.95),
        "slowest": slowest,
        "slowest_p95_ms": quantile(took[slowest], 0.95),
        "count_p95_ms": quantile(counts, 0.95),
    }
    for kind, times in sorted(took.items(), key=lambda one: -quantile(one[1], 0.5)):
        print(f"{quantile(times, 0.5):8.1f} {quantile(times, 0.95):8.1f} ms  {kind}")
    found = report.result("search", {"calls": number, "rounds": rounds}, figures)
    print(report.table([figures]))
    if given.save:
        report.save(found)


if __name__ == "__main__":
    main()
