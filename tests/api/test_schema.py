"""Requests made up from the OpenAPI document, good and bad: what is answered is what the document says.

A fixed seed and few examples of each; `VITTNE_TEST_EXAMPLES=50` tries more, others each time, and every border.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from recordings import record
from rig.recordings import hostile_call
from rig.whole import InThread
from schemathesis.checks import CHECKS, load_all_checks

from vittne.appliance.api.app import ROUTES
from vittne.appliance.api.openapi import document
from vittne.appliance.api.routes import PREFIX
from vittne.appliance.beside import api_routes
from vittne.appliance.config import Config
from vittne.appliance.store.catalogue import Catalogue, Search

EXAMPLES: Final = int(os.environ.get("VITTNE_TEST_EXAMPLES", "0"))
ENOUGH: Final = 200
LEFT_OUT: Final = [
    f"{PREFIX}/events",  # news come until somebody hangs up: test_live.py
    f"{PREFIX}/setup/test-call",  # sends packets
]
# What the document cannot say (a time that lies in the future), and what other tests ask of every route.
NOT_CHECKED = {"positive_data_acceptance", "ignored_auth", "unsupported_method", "max_response_time"}
# /holds/preview is also what /holds/{id} answers, with a 404: Allow names the methods of both, the document of one.
NOT_CHECKED |= {"allow_header_conformance"}

load_all_checks()
CHECKED: Final[list[Any]] = [
    one for name in CHECKS.get_all_names() if name not in NOT_CHECKED for one in CHECKS.get_by_names([name])
]
SCHEMA: Final = schemathesis.openapi.from_dict(document([*ROUTES, *api_routes(Config())])).exclude(path=LEFT_OUT)
SCHEMA.config.generation.update(deterministic=not EXAMPLES, with_security_parameters=False)
SCHEMA.config.checks.negative_data_rejection.expected_statuses.append("413")
SCHEMA.config.phases.coverage.enabled = bool(EXAMPLES)


@schemathesis.serializer("audio/*")
def some_bytes(_: Any, value: Any) -> bytes:
    """Return a body of a kind that is no JSON."""
    return value if isinstance(value, bytes) else str(value).encode()


@dataclass
class Asked:
    """The API, who asks, and what was answered. names: what stands in addresses instead of what was made up."""

    api: InThread
    names: dict[str, list[str]]
    session: requests.Session = field(default_factory=requests.Session)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)

    def ask(self, name: str, case: schemathesis.Case[Any]) -> None:
        """Ask in somebody's name, and check the answer."""
        for part, real in self.names.items():
            for parameter in case.path_parameters:
                if case.path.startswith(f"{PREFIX}/{part}/{{{parameter}}}"):
                    case.path_parameters[parameter] = real[sum(self.statuses.values()) % len(real)]
        headers = self.api.call(self.api.whole.log_in, name)
        answer = case.call_and_validate(
            base_url=self.api.base, session=self.session, headers=headers, verify=False, timeout=60, checks=CHECKED
        )
        self.statuses[name, answer.status_code] += 1


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A recorder with a recording, calls that are up, and two people who look at them."""
    data = record(hostile_call(), tmp_path_factory.mktemp("schema")).data
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        recordings = [one.id for one in catalogue.list_calls(Search())]
    api = InThread(data)
    api.do(api.whole.add("all", "administrator", "compliance", "supervisor"))
    api.do(api.whole.add("little", "agent", own=("1002",)))
    asked = Asked(api, {"recordings": recordings, "calls": recordings})
    yield asked
    api.close()
    if sum(asked.statuses.values()) >= ENOUGH:  # else this process asked for a few routes only
        assert {who for who, status in asked.statuses if status < 300} == {"all", "little"}
        assert {status for _, status in asked.statuses} >= {403, 404, 422}


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("name", ["all", "little"])
@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES or 3,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_what_is_answered_is_what_the_document_says(asked: Asked, name: str, case: schemathesis.Case[Any]) -> None:
    asked.ask(name, case)
