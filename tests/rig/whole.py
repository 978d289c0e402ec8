"""The whole API as a recorder serves it, over a directory with recordings and calls that are up, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from aiohttp import web
from api.harness import Served, serving
from rig.desk import pipeline_of, two_calls
from rig.now import now_of
from rig.passwords import PASSWORD

from vittne.appliance.access import operations as access
from vittne.appliance.access.passwords import hash_password
from vittne.appliance.access.settings import AccessSettings
from vittne.appliance.announcements.tries import TryDesk
from vittne.appliance.api.announcement_tries import add_tries
from vittne.appliance.api.app import Clock
from vittne.appliance.api.auth import GATE
from vittne.appliance.api.cutting import CUTS
from vittne.appliance.api.doctor import DOCTOR, Doctor
from vittne.appliance.api.limits import Limits
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.seen import CASES, KEYS
from vittne.appliance.api.sessions import COOKIE, CSRF_HEADER, csrf_of
from vittne.appliance.api.settled import CONFIG, policy_of
from vittne.appliance.api.setup import SET_UP, set_up_of
from vittne.appliance.api.webhooks import WEBHOOKS
from vittne.appliance.audio.desk import AudioDesk, add_audio
from vittne.appliance.beside import api_routes
from vittne.appliance.casework.cutdesk import CutDesk
from vittne.appliance.casework.process import CaseDesk
from vittne.appliance.config import Config, checked
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.server import Operator
from vittne.appliance.doctor.asking import recorder_facts
from vittne.appliance.fleet.desk import FLEET_DESK, FleetDesk
from vittne.appliance.keyring.client import KeyProcess
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.store.times import now_us

T = TypeVar("T")
_ME: Final = Caller("test")


@dataclass
class Whole:
    """A server, and what orders go to."""

    served: Served
    operator: Operator
    config: Config

    async def add(self, name: str, *roles: str, **more: Any) -> None:
        """Add a user who has a password."""
        await self.operator.perform(access.ADD_USER, access.AddUser(name=name, roles=roles, **more), _ME)
        kept = hash_password(PASSWORD, name)
        await self.operator.perform(access.SET_PASSWORD, access.SetPassword(user=name, password=kept), _ME)

    def log_in(self, name: str) -> dict[str, str]:
        """Return the headers of a new session, under the settings that were there at the start."""
        gate = self.served.app[GATE]
        gate.use(AccessSettings())
        user = gate.users.named(name)
        assert user is not None
        _, secret = gate.sessions.begin(user.id, ("password",), "127.0.0.1", "", gate.now_us())
        return {"Cookie": f"{COOKIE}={secret}", CSRF_HEADER: csrf_of(secret)}


@asynccontextmanager
async def whole_of(data: Path) -> AsyncIterator[Whole]:
    """Serve what is in a directory; two calls are up meanwhile."""
    config = checked({"data": str(data), "interfaces": ["lo"]}, "the test")
    with now_of(data, pipeline_of(two_calls())) as now:
        registrar = now.desk._registrar
        registrar.life_policy = policy_of(config)
        operator = Operator(registrar, OPERATIONS, now.desk.books.do)
        async with KeyProcess(data, registrar.keys) as keys:
            await keys.unlock(None)

            def fill(app: web.Application) -> None:
                now.fill(app)
                app[OPERATOR], app[CONFIG], app[WEBHOOKS] = operator, config, config.webhooks
                app[CASES], app[CUTS], app[KEYS] = CaseDesk(), CutDesk(), keys
                app[FLEET_DESK] = FleetDesk(config.catalogue, "")
                add_tries(app, TryDesk(str(data)))
                app[DOCTOR] = Doctor(config, None, lambda: recorder_facts(now.hub))
                app[SET_UP] = set_up_of(config, None, {})
                add_audio(app, AudioDesk(data, operator, keys.data_key))

            limits = Limits(burst=100_000, per_s=100_000, failures=100_000)
            async with serving(data, api_routes(config), limits, fill=fill, clock=Clock()) as served:
                now.hub.open()
                yield Whole(served, operator, config)


class InThread:
    """It, in a thread of its own, for a client that waits."""

    def __init__(self, data: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._context = whole_of(data)
        self.whole = self.do(self._context.__aenter__())

    @property
    def base(self) -> str:
        """Return the address of the server."""
        host, port = self.whole.served.address
        return f"https://{host}:{port}"

    def do(self, what: Coroutine[Any, Any, T]) -> T:
        """Do something in the server's loop."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(60)

    def call(self, what: Any, *arguments: Any) -> Any:
        """Call something in the server's loop."""

        async def called() -> Any:
            return what(*arguments)

        return self.do(called())

    def close(self) -> None:
        """Stop it."""
        self.do(self._context.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def now() -> int:
    """Return microseconds UTC."""
    return now_us()
