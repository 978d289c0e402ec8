"""`vittne hold`, `retention`, `erase`, `restrict`, `correct` and `request`: asking for it, and showing it.

Exit status: 0 done; 1 refused, with the reason; 3 asked for, and a second person has to approve.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from vittne.appliance.control.client import perform
from vittne.appliance.control.operation import Operation, Order
from vittne.appliance.life.approving import APPROVE, REFUSE, Approve, Refuse
from vittne.appliance.life.certificate import read_certificate
from vittne.appliance.life.erase import CannotErase, Settle
from vittne.appliance.life.operations import (
    CORRECT,
    ERASE,
    PLACE_HOLD,
    RELEASE_HOLD,
    RESTRICT,
    SETTLE_ERASURES,
    Correct,
    Erase,
    PlaceHold,
    ReleaseHold,
    Restrict,
)
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.life.precedence import decide
from vittne.appliance.life.retention import (
    CHANGE_RETENTION,
    RUN_RETENTION,
    ChangeRetention,
    RunRetention,
    following,
)
from vittne.appliance.life.table import LifeTable
from vittne.appliance.outfile import progress, whole_file
from vittne.appliance.plan_command import print_plan, print_what_if, rules_in
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.show import json_array, json_object
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.terminal import FAINT, Cell, Column, clean, painted, table

if TYPE_CHECKING:
    pass

T = TypeVar("T")

WAITS: Final = 3
_TOGETHER: Final = 500
_SHOWN: Final = 50  # recordings named one by one; --json has all


class WrongOrder(StoreError):
    """Options that make no order."""


class Desk:
    """Asks and shows, for one data directory. by: "" stands for who is logged in."""

    def __init__(self, data: Path, policy: LifePolicy, by: str = "") -> None:
        self._data = data
        self._policy = policy
        self._by = by

    def place(self, label: str, reason: str, owner: str, ids: list[str], search: dict[str, Any], standing: bool) -> int:
        """Place a hold."""
        order = PlaceHold(
            label=label,
            reason=reason,
            owner=owner,
            recordings=ids,
            search=None if ids and not search else search,
            standing=standing,
        )
        answer = self._ask(PLACE_HOLD, order)
        print(f"hold {answer['hold']}: on {answer['recordings']} recordings")
        return 0

    def holds(self, released: bool, as_json: bool) -> int:
        """List holds."""
        with self._catalogue() as catalogue:
            found = self._life(catalogue).holds.rows(released)
        if as_json:
            sys.stdout.writelines(json_array(hold.as_json(count) for hold, count in found))
            return 0
        columns = [Column("hold"), Column("label", least=8), Column("owner", least=6), Column("placed (UTC)")]
        columns += [Column("recordings", right=True), Column("state"), Column("reason", least=8, spare=1)]
        cells: list[list[str | Cell]] = []
        for hold, count in found:
            state = "released" if hold.released_us is not None else "standing" if hold.standing else "held"
            at = rfc3339(hold.placed_us)[:16]
            cells.append([hold.id[:8], hold.label, hold.owner, at, str(count), state, hold.reason])
        _print(table(columns, cells) if cells else ["no holds"])
        return 0

    def hold(self, prefix: str, as_json: bool) -> int:
        """Show one hold."""
        with self._catalogue() as catalogue:
            holds = self._life(catalogue).holds
            hold = holds.get(prefix)
            ids = list(holds.recordings(hold.id))
        if as_json:
            sys.stdout.write(json_object({**hold.as_json(len(ids)), "ids": ids}))
            return 0
        _print([*_told(hold.as_json(len(ids))), *ids])
        return 0

    def release(self, prefix: str, reason: str) -> int:
        """Release a hold."""
        return self._tell(self._ask(RELEASE_HOLD, ReleaseHold(hold=prefix, reason=reason)), "the hold is released")

    def plan(self, at_us: int | None, file: str | None, as_json: bool) -> int:
        """Show what a run would do, and with a file what its rules would change."""
        at = now_us() if at_us is None else at_us
        if file is not None:
            with self._catalogue() as catalogue:
                print_what_if(self._life(catalogue), catalogue, rules_in(Path(file)), at, as_json)
            return 0
        with self._catalogue() as catalogue:
            life = self._life(catalogue)
            print_plan(life, at, self._policy.classes, as_json)
        return 0

    def run_retention(self) -> int:
        """Erase what is due."""
        with self._catalogue() as catalogue:
            due = sum(1 for _ in self._life(catalogue).due(now_us()))
        rules = Counter[str]()
        order: RunRetention | None = RunRetention()
        with progress("erasing", due) as bar:
            while order is not None:
                answer = perform(self._data, RUN_RETENTION, order, self._by, policy=self._policy)
                rules.update(answer["rules"])
                bar(rules.total())
                order = following(answer)
        told = ", ".join(f"{count} {rule}" for rule, count in sorted(rules.items())) or "nothing"
        print(f"{rules.total()} were due: {told}")
        return 0

    def retention(self, prefix: str, as_json: bool) -> int:
        """Show what decides about a recording, and what may be done now."""
        at = now_us()
        with self._catalogue() as catalogue:
            row = self._life(catalogue).get(prefix)
        acts = {act: decide(act, row.facts, at) for act in ("expire", "erase", "cut")}
        told: dict[str, Any] = {"id": row.id, **acts["expire"].as_json(row.facts)["inputs"]}
        told["holds"] = list(row.facts.holds)
        told["decisions"] = {
            act: {"allowed": one.allowed, "rule": one.rule, "persons": one.persons, "why": one.words}
            for act, one in acts.items()
        }
        if as_json:
            sys.stdout.write(json_object(told))
            return 0
        shown = {name: value for name, value in told.items() if name != "decisions"}
        may = {act: _may(one.allowed, one.rule, one.persons, one.words) for act, one in acts.items()}
        _print(_told({**shown, "holds": ", ".join(row.facts.holds), **may}))
        return 0

    def extend(self, prefix: str, until_us: int | None, name: str, reason: str) -> int:
        """Change how long a recording is kept."""
        order = ChangeRetention(recording=prefix, until_us=until_us, retention_class=name, reason=reason)
        answer = self._ask(CHANGE_RETENTION, order)
        until = answer.get("expires_at") or "for ever"
        return self._tell(answer, f"class {answer.get('class', '')}, kept until {until}")

    def erase(self, prefix: str | None, reason: str) -> int:
        """Erase a recording."""
        if not prefix or not reason:
            raise WrongOrder("nothing to erase", "erase", "give an ID and --reason")
        answer = self._ask(ERASE, Erase(recording=prefix, reason=reason))
        if "waits" not in answer:
            print(f"{answer['recording']} is erased: `vittne erase --certificate` prints the certificate")
            return 0
        return self._tell(answer, "")

    def dry_run(self, prefix: str | None) -> int:
        """Say what erasing would do; return 1 when it would be refused."""
        with self._catalogue() as catalogue:
            row = self._life(catalogue).get(prefix or "")
        decision = decide("erase", row.facts, now_us())
        if not decision.allowed:
            raise CannotErase(f"would not be erased: {decision.words}", row.id, "nothing was changed")
        two = decision.persons > 1 or "erase" in self._policy.operations
        print(f"{row.id} would be erased: {row.size_bytes} bytes, its keys, and every name in the catalogue")
        print("a second person would have to approve" if two else "nothing was changed")
        return 0

    def settle(self) -> int:
        """Finish erasures, and erase again what a backup brought back."""
        erased = self._ask(SETTLE_ERASURES, Settle())["erased"]
        print(f"{len(erased)} erasures were brought to their end")
        return 0

    def certificate(self, prefix: str | None, output: str) -> int:
        """Print a deletion certificate, checked, or write it as it is signed, with FILE.sig beside it."""
        with self._catalogue() as catalogue:
            recording = catalogue.get(prefix or "").id
        data, signature = read_certificate(self._data, recording, load_verifier(self._data / "keys"))
        if output == "-":
            said = json.loads(data)
            sys.stdout.write(json_object(said))
            print(_final_words(self._data, int(said["entry"])), file=sys.stderr)
            return 0
        for name, content in ((output, data), (f"{output}.sig", signature)):
            with whole_file(name, force=False) as (stream, _):
                stream.write(content)
        return 0

    def restrict(self, prefix: str, reason: str, is_on: bool) -> int:
        """Restrict a recording, or lift that."""
        answer = self._ask(RESTRICT, Restrict(recording=prefix, reason=reason, is_on=is_on))
        return self._tell(answer, "it is restricted" if is_on else "it is restricted no more")

    def correct(self, prefix: str, field: str, value: str, reason: str) -> int:
        """Correct a field."""
        if field not in ("caller", "callee", "site"):
            raise WrongOrder(
                "there is no such field to correct", field[:40], "--set caller=..., callee=... or site=..."
            )
        order = Correct.model_validate({"recording": prefix, "field": field, "value": value, "reason": reason})
        answer = self._ask(CORRECT, order)
        print(f"correction {answer['n']} of {answer['recording']}: {field} is shown as {clean(value)!r}")
        return 0

    def requests(self, decided: bool, as_json: bool) -> int:
        """List requests."""
        with self._catalogue() as catalogue:
            found = self._life(catalogue).requests(decided)
        if as_json:
            sys.stdout.writelines(json_array(one.as_json() for one in found))
            return 0
        names = ("request", "operation", "recording", "asked (UTC)", "asked by", "state", "decided by")
        cells: list[list[str | Cell]] = [
            [
                one.id[:8],
                one.operation,
                one.recording[:8],
                rfc3339(one.asked_us)[:16],
                one.asked_by,
                one.state,
                one.decided_by,
            ]
            for one in found
        ]
        _print(table([Column(name) for name in names], cells) if cells else ["no requests"])
        return 0

    def decide(self, prefix: str, is_wanted: bool) -> int:
        """Approve or refuse a request."""
        if not is_wanted:
            return self._tell(self._ask(REFUSE, Refuse(request=prefix)), "the request is refused")
        answer = self._ask(APPROVE, Approve(request=prefix))
        return self._tell(answer, f"approved{': ' + str(answer['next']) if 'next' in answer else ' and done'}")

    def _ask(self, operation: Operation[Any], order: Order) -> dict[str, Any]:
        return perform(self._data, operation, order, self._by, policy=self._policy)

    def _tell(self, answer: dict[str, Any], words: str) -> int:
        if "waits" not in answer:
            print(words)
            return 0
        print(f"asked for by {clean(answer['asked_by'])}, and not done yet: a second person has to approve it:")
        print(f"vittne request approve {answer['waits']}")
        return WAITS

    def _catalogue(self) -> Catalogue:
        return Catalogue(self._data / CATALOGUE_FILE, read_only=True)

    def _life(self, catalogue: Catalogue) -> LifeTable:
        return LifeTable(catalogue, self._policy.early)


def _final_words(data: Path, entry: int) -> str:
    """Say whether a key epoch came behind an erasure's entry: from then on no copy of its keys opens anything."""
    found: list[str] = []

    def visit(index: int, line: bytes) -> None:
        if index > entry and b'"t":"key.epoch"' in line and b'"state":"done"' in line and not found:
            found.append(str(read_entry(line)["at"]))

    scan_ledger(data / "ledger", load_verifier(data / "keys"), visit)
    return f"final since the key epoch of {found[0]}" if found else "not final yet: no key epoch came since"


def _may(allowed: bool, rule: str, persons: int, words: str) -> str:
    if not allowed:
        return f"no ({rule}): {words}"
    return f"yes ({rule})" + (", by two persons" if persons > 1 else "")


def _told(said: dict[str, Any]) -> list[str]:
    return [f"{painted(f'{name:14}', FAINT)} {clean(str(value), 600)}" for name, value in said.items() if value]


def _print(lines: list[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
