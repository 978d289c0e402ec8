"""`vittne subject`: cases of persons who ask what is recorded of them, or that it goes.

Exit status: 0 done; 1 refused, or not all was done, or overdue; 3 a second person has to approve some of it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vittne.appliance.control.client import perform
from vittne.appliance.control.operation import Operation, Order
from vittne.appliance.life.operations import ERASE, RESTRICT, Erase, Restrict
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.life.precedence import decide
from vittne.appliance.life.table import LifeRow, LifeTable
from vittne.appliance.searching import enter_search
from vittne.appliance.show import json_array, json_object
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.subjects.choosing import Choice, chosen, found_of
from vittne.appliance.subjects.finding import Found, Who
from vittne.appliance.subjects.operations import (
    CLOSE_CASE,
    ENTER_ACTS,
    FORGET_CASES,
    OPEN_CASE,
    SET_DUE,
    CloseCase,
    Doing,
    Done,
    EnterActs,
    ForgetCases,
    OpenCase,
    SetDue,
)
from vittne.appliance.subjects.personcopy import INDEX, CopyOptions, write_copy
from vittne.appliance.subjects.reasons import for_the_letter
from vittne.appliance.subjects.settings import SubjectsConfig
from vittne.appliance.subjects.showing import case_table, found_json, found_table, month_after
from vittne.appliance.subjects.table import Case, CaseTable
from vittne.appliance.terminal import FAINT, clean, painted

WAITS: Final = 3
_TOGETHER: Final = 1000


class Desk:
    """Asks and shows, for one data directory. by: "" stands for who is logged in."""

    def __init__(self, data: Path, policy: LifePolicy, config: SubjectsConfig, by: str = "") -> None:
        self._data = data
        self._policy = policy
        self._config = config
        self._by = by

    def open_case(self, kind: str, who: Mapping[str, Sequence[str]], due_us: int | None) -> int:
        """Open a case; without a date it is due a month from now (Art. 12(3))."""
        due = month_after(now_us()) if due_us is None else due_us
        words = {name: list(some) for name, some in who.items()}
        answer = self._ask(OPEN_CASE, OpenCase.model_validate({"kind": kind, **words, "due_us": due}))
        print(f"case {answer['case']}: due {answer['due'][:10]}")
        return 0

    def list_all(self, closed: bool, as_json: bool) -> int:
        """List cases."""
        cases = self._cases(closed)
        if as_json:
            sys.stdout.writelines(json_array(one.as_json() for one in cases))
        else:
            _print(case_table(cases) if cases else ["no cases"])
        return 0

    def due(self, as_json: bool) -> int:
        """List open cases by date; return 1 when one is overdue."""
        cases, at = self._cases(closed=False), now_us()
        if as_json:
            sys.stdout.writelines(json_array({**one.as_json(), "overdue": one.due_us <= at} for one in cases))
        else:
            _print(case_table(cases) if cases else ["nothing is due"])
        return 1 if any(one.due_us <= at for one in cases) else 0

    def show(self, prefix: str, as_json: bool) -> int:
        """Show a case, the recordings of the person, and what was done."""
        case, found = self._found(prefix)
        with self._catalogue() as catalogue:
            acts = CaseTable(catalogue).acts(case.id)
            life = self._life(catalogue, found)
        if as_json:
            recordings = [found_json(one, life[one.call.id]) for one in found]
            sys.stdout.write(
                json_object({**case.as_json(), "recordings": recordings, "acts": [one.as_json() for one in acts]})
            )
            return 0
        shown = case.as_json()
        who = "; ".join(", ".join(words) for words in shown.pop("who").values() if words)
        told = {"who": who or "forgotten", **shown}
        _print([f"{painted(f'{name:14}', FAINT)} {clean(value)}" for name, value in told.items() if value])
        _print(found_table(found, life) if found else ["no recordings of this person"])
        for one in acts:
            words = " ".join(word for word in (one.by, one.act, one.recording[:8], one.result, one.text) if word)
            print(f"{rfc3339(one.at_us)[:16]} {clean(words)}")
        return 0

    def export(self, prefix: str, folder: Path, choice: Choice, options: CopyOptions) -> int:
        """Write the copy for the person."""
        case, found = self._open_found(prefix)
        taken, left = chosen(found, choice)
        entered: list[Done] = []

        def tell(one: Found, result: str, words: str) -> None:
            entered.append(Done.model_validate(_act("export", one.call.id, result, words)))
            if words:
                print(f"{one.call.id}: not in the copy: {clean(words)}", file=sys.stderr)

        try:
            count = write_copy(self._data, taken, folder, options, tell)
        finally:
            self._enter(case, entered)
        print(f"{count} of {len(taken)} recordings: {folder / INDEX}")
        return self._tell_left(left) or (0 if count == len(taken) else 1)

    def restrict(self, prefix: str, choice: Choice) -> int:
        """Restrict all recordings of the person (Art. 18)."""
        case, found = self._open_found(prefix)
        taken, left = chosen(found, choice)
        done = [self._try(RESTRICT, Restrict(recording=one.call.id, reason=_reason(case)), "restrict") for one in taken]
        self._enter(case, done)
        return self._told(done, left)

    def erase(self, prefix: str, choice: Choice, dry_run: bool) -> int:
        """Erase all recordings of the person as far as that may be (Art. 17); say of the others why not."""
        case, found = self._open_found(prefix)
        taken, left = chosen(found, choice)
        with self._catalogue() as catalogue:
            life = self._life(catalogue, taken)
        done = [self._erase(case, life[one.call.id], dry_run) for one in taken]
        if dry_run:
            print("nothing was changed")
        else:
            self._enter(case, done)
        return self._told(done, left)

    def note(self, prefix: str, text: str) -> int:
        """Write something down in a case."""
        self._ask(ENTER_ACTS, EnterActs(case=prefix, acts=[Done(act="note", text=text)]))
        return 0

    def extend(self, prefix: str, due_us: int, reason: str) -> int:
        """Give a case another date."""
        answer = self._ask(SET_DUE, SetDue(case=prefix, due_us=due_us, reason=reason))
        print(f"case {answer['case']}: due {answer['due'][:10]}; tell the person why")
        return 0

    def close(self, prefix: str, outcome: str, note: str) -> int:
        """Close a case."""
        order = {"case": prefix, "outcome": outcome, "note": note, "keep_days": self._config.keep_days}
        answer = self._ask(CLOSE_CASE, CloseCase.model_validate(order))
        print(f"case {answer['case']} is closed; whom it was about is deleted at {answer['forget_at'][:10]}")
        return 0

    def forget(self) -> int:
        """Delete what persons of closed cases are found by, where it is time; a recorder does it every night."""
        print(f"{len(self._ask(FORGET_CASES, ForgetCases())['forgotten'])} cases were forgotten")
        return 0

    def _erase(self, case: Case, row: LifeRow, dry_run: bool) -> Done:
        decision = decide("erase", row.facts, now_us())
        words = for_the_letter(decision, row.facts)
        if words and dry_run:
            return Done(act="erase", recording=row.id, result="refused", text=words)
        if dry_run:
            waits = decision.persons > 1 or "erase" in self._policy.operations
            return Done(act="erase", recording=row.id, result="waits" if waits else "done")
        # Also what is refused is asked for: that enters the refusal, with its reason, beside the recording.
        return self._try(ERASE, Erase(recording=row.id, reason=_reason(case)), "erase", words)

    def _try(self, operation: Operation[Any], order: Any, act: Doing, words: str = "") -> Done:
        """Do something with a recording; return how it went. words: why not, for the letter."""
        try:
            answer = self._ask(operation, order)
        except StoreError as error:
            why = words or f"{error.what[:1].upper()}{error.what[1:]}."
            return Done(act=act, recording=order.recording, result="refused", text=why)
        if "waits" in answer:
            text = f"vittne request approve {answer['waits']}"
            return Done(act=act, recording=order.recording, result="waits", text=text)
        return Done(act=act, recording=order.recording, result="done")

    def _told(self, done: Sequence[Done], left: Sequence[Found]) -> int:
        for one in done:
            print(clean(f"{one.recording}: {one.result}{': ' if one.text else ''}{one.text}", 600))
        if not done:
            print("no recordings")
        results = {one.result for one in done}
        return self._tell_left(left) or (1 if "refused" in results else WAITS if "waits" in results else 0)

    def _tell_left(self, left: Sequence[Found]) -> int:
        for one in left:
            words = "name it with --also or --not, or give --likely"
            print(f"{one.call.id}: not touched, it is {one.how} ({clean(one.why)}): {words}", file=sys.stderr)
        return 1 if left else 0

    def _found(self, prefix: str) -> tuple[Case, list[Found]]:
        with self._catalogue() as catalogue:
            case = CaseTable(catalogue).get(prefix)
        who = Who.from_json(case.who)
        found = found_of(self._data, who, self._config.country) if who else []
        if who:
            enter_search(self._data, "subject", {"case": case.id}, len(found), self._by)
        return case, found

    def _open_found(self, prefix: str) -> tuple[Case, list[Found]]:
        case, found = self._found(prefix)
        if case.closed_us is not None:
            raise StoreError("the case was closed", case.id, "open another one")
        return case, found

    def _enter(self, case: Case, acts: Sequence[Done]) -> None:
        for begin in range(0, len(acts), _TOGETHER):
            self._ask(ENTER_ACTS, EnterActs(case=case.id, acts=[*acts[begin : begin + _TOGETHER]]))

    def _life(self, catalogue: Catalogue, found: Sequence[Found]) -> dict[str, LifeRow]:
        rows = LifeTable(catalogue, self._policy.early).rows([one.call.id for one in found])
        return {row.id: row for row in rows}

    def _cases(self, closed: bool) -> Sequence[Case]:
        with self._catalogue() as catalogue:
            return CaseTable(catalogue).cases(closed)

    def _ask(self, operation: Operation[Any], order: Order) -> dict[str, Any]:
        return perform(self._data, operation, order, self._by, policy=self._policy)

    def _catalogue(self) -> Catalogue:
        return Catalogue(self._data / CATALOGUE_FILE, read_only=True)


def _reason(case: Case) -> str:
    return f"request of a person, case {case.id}"


def _act(act: Doing, recording: str, result: str, text: str) -> dict[str, str]:
    return {"act": act, "recording": recording, "result": result, "text": text}


def _print(lines: Sequence[str]) -> None:
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
