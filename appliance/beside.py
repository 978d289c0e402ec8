"""What runs beside recording, in the recorder's own loop: none of it stands in recording's way.

The supervisor logs and outlives whatever ends here with an error.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from vittne.appliance.alarming.desk import desk_of
from vittne.appliance.alarming.looking import AlarmWatch
from vittne.appliance.alarming.room import RoomMaker
from vittne.appliance.announcements.tries import TryDesk
from vittne.appliance.api.access_routes import ACCESS_ROUTES
from vittne.appliance.api.announcement_tries import add_tries
from vittne.appliance.api.app import Add
from vittne.appliance.api.audio import ROUTES as AUDIO_ROUTES
from vittne.appliance.api.auth import GATE, HEARD
from vittne.appliance.api.canary import ROUTES as CANARY_ROUTES
from vittne.appliance.api.compliance import ROUTES as COMPLIANCE_ROUTES
from vittne.appliance.api.consent import ROUTES as CONSENT_ROUTES
from vittne.appliance.api.cutting import CUTS
from vittne.appliance.api.doctor import DOCTOR, Doctor
from vittne.appliance.api.doctor import ROUTES as DOCTOR_ROUTES
from vittne.appliance.api.fleet import ROUTES as FLEET_ROUTES
from vittne.appliance.api.keys import KEY_DESK
from vittne.appliance.api.listening import ROUTES as LISTENING_ROUTES
from vittne.appliance.api.live import ROUTES as LIVE_ROUTES
from vittne.appliance.api.live import add_now
from vittne.appliance.api.liveaudio import ROUTES as LIVE_AUDIO_ROUTES
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.logins import ROUTES as LOGIN_ROUTES
from vittne.appliance.api.metrics import add_metrics
from vittne.appliance.api.pauses import DESK
from vittne.appliance.api.pauses import ROUTES as PAUSE_ROUTES
from vittne.appliance.api.reader import READER
from vittne.appliance.api.recording_cases import ROUTES as CASE_ROUTES
from vittne.appliance.api.recording_notes import ROUTES as NOTE_ROUTES
from vittne.appliance.api.recordings import ROUTES as RECORDING_ROUTES
from vittne.appliance.api.routes import Access, Route
from vittne.appliance.api.seen import CASES, KEYS
from vittne.appliance.api.server import start_api
from vittne.appliance.api.settled import CONFIG
from vittne.appliance.api.setup import SET_UP, set_up_of
from vittne.appliance.api.webhooks import ROUTES as WEBHOOK_ROUTES
from vittne.appliance.api.webhooks import WEBHOOKS, token_owner
from vittne.appliance.api.witness import ROUTES as WITNESS_ROUTES
from vittne.appliance.api.witness import WITNESS
from vittne.appliance.audio.desk import AudioDesk, add_audio
from vittne.appliance.audio.sounds import no_keys
from vittne.appliance.backup.runner import BackupTimer
from vittne.appliance.canary.runner import Around, CanaryRunner
from vittne.appliance.casework.cutdesk import CutDesk
from vittne.appliance.casework.process import CaseDesk
from vittne.appliance.channelwatch import ChannelWatch, is_up
from vittne.appliance.clock.watch import ClockWatch
from vittne.appliance.config import Config
from vittne.appliance.console.compliance import PAGES as COMPLIANCE_PAGES
from vittne.appliance.console.doctor_page import PAGES as DOCTOR_PAGES
from vittne.appliance.console.fleet_page import PAGES as FLEET_PAGES
from vittne.appliance.console.key_pages import PAGES as KEY_PAGES
from vittne.appliance.console.now import PAGES as NOW_PAGES
from vittne.appliance.console.pages import Page
from vittne.appliance.console.recordings import PAGES as RECORDING_PAGES
from vittne.appliance.console.setup_pages import PAGES as SETUP_PAGES
from vittne.appliance.console.site import add_console
from vittne.appliance.console.webhooks import PAGES as WEBHOOK_PAGES
from vittne.appliance.control.server import ControlServer, Operator
from vittne.appliance.doctor.asking import recorder_facts
from vittne.appliance.events.hub import Hub
from vittne.appliance.events.state import Sources, StateReader
from vittne.appliance.fleet.desk import FLEET_DESK, FleetDesk
from vittne.appliance.fleet.runner import CatalogueRunner
from vittne.appliance.fleet.server import schema_of
from vittne.appliance.keyring.desk import KeyDesk
from vittne.appliance.keyring.ring import ring_path
from vittne.appliance.life.timer import RetentionTimer
from vittne.appliance.live.desk import LiveDesk
from vittne.appliance.log import fault
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.pausealarms import PauseAlarms
from vittne.appliance.pausedesk import PauseDesk
from vittne.appliance.pbxlinks import PbxLinks
from vittne.appliance.registrar import Registrar
from vittne.appliance.reloading import Reloader
from vittne.appliance.scrub.runner import Scrubber
from vittne.appliance.signon.sources import Sources as SignOnSources
from vittne.appliance.signon.watch import SignOnWatch
from vittne.appliance.stamps.stamper import Stamper
from vittne.appliance.storage.runner import StorageRunner
from vittne.appliance.store.errors import StoreError
from vittne.appliance.support.telling import tell_support
from vittne.appliance.testcall import place_and_explain
from vittne.appliance.version import VERSION
from vittne.appliance.webhooks.deliver import Deliverer
from vittne.appliance.witness.publisher import CheckpointPublisher
from vittne.appliance.witness.witness import Witness

log = structlog.get_logger()

_AGAIN_S: Final = 30.0
Run = Callable[[], Awaitable[None]]


def beside(
    config: Config,
    registrar: Registrar,
    desk: PauseDesk,
    test_call: bool,
    file: Path | None = None,
    hub: Hub | None = None,
    sockets: Sequence[socket.socket] = (),
    live: LiveDesk | None = None,
    reloader: Reloader | None = None,
) -> Callable[[], Awaitable[None]]:
    """Return what the supervisor runs once a worker is up, until it is cancelled. file: the configuration's.

    sockets: that somebody opened for the API, instead of those that it would open.
    """

    now = hub or Hub(config.interfaces)

    async def run() -> None:
        operator = Operator(registrar, OPERATIONS, desk.books.do)
        watch = ClockWatch(registrar, config.clock, do=desk.books.do)
        registrar.clock = watch.for_manifest
        apart_us = int(config.clock.max_error_ms * 1000)
        links = PbxLinks(desk, config.triggers.ami, config.triggers.esl)
        heard: dict[str, float] = {}  # when each token was last used
        # without the private half it records, and nothing is ever opened here
        keys = KeyDesk(registrar, config.keys, do=desk.books.do) if ring_path(config.data).exists() else None

        elsewhere = SignOnSources(config.sign_on)
        sign_on = SignOnWatch(operator, elsewhere)

        def fill(app: web.Application) -> None:
            nonlocal heard
            app[GATE].sources = elsewhere
            sign_on.use(app[GATE].sessions, app[GATE].users.get)
            app[DESK], app[OPERATOR], heard = desk, operator, app[HEARD]
            app[CASES], app[CUTS] = CaseDesk(), CutDesk()
            add_tries(app, TryDesk(str(config.data.resolve())))
            add_audio(app, AudioDesk(config.data, operator, keys.keys.data_key if keys is not None else no_keys))
            if keys is not None:
                app[KEYS], app[KEY_DESK] = keys.keys, keys
            app[WEBHOOKS] = config.webhooks
            state = StateReader(sources, app[READER])
            add_now(app, now, state, live)
            registrar.facts = lambda: recorder_facts(now, state.keys)
            app[DOCTOR] = Doctor(config, file, registrar.facts)
            registrar.support = lambda: tell_support(state, registrar.catalogue)
            app[CONFIG] = config
            app[FLEET_DESK] = fleet
            app[SET_UP] = set_up_of(config, file)
            if reloader is not None:
                reloader.followers.append(app[SET_UP])
            if config.ledger.witness_of:
                app[WITNESS] = Witness(config.data, config.ledger.witnessed())

        registrar.facts = lambda: recorder_facts(now)
        stamper = Stamper(registrar, config.stamps, clocks_apart_us=apart_us, do=desk.books.do)
        sources = Sources(now, config.data, VERSION, config.hold_back_s)
        sources.clock, sources.clock_bound_us = (lambda: watch.state), config.clock.max_error_ms * 1000
        sources.stamps = stamper.status
        around = Around(
            interfaces=config.interfaces,
            behind_s=config.hold_back_s + config.commit_s,
            clock=lambda: watch.state,
            clock_bound_us=sources.clock_bound_us,
            stamps=stamper.status,
            key=keys.keys.data_key if keys is not None else no_keys,
            is_listened=config.analysis.listen_ns > 0,
        )
        canary = CanaryRunner(registrar, config.canary, around, desk.books.do)
        sources.canary, sources.canary_well_us = canary.shown, lambda: canary.well_us
        alarm_desk, looking = desk_of(now.alarms, config.alarms), AlarmWatch(config, now)
        registrar.alarm_desk = alarm_desk
        now.bus.also(alarm_desk.hear)
        now.bus.also(looking.hear)
        fleet = FleetDesk(config.catalogue, schema_of(registrar.ledger.key.name))
        sharing = CatalogueRunner(registrar, config.catalogue, desk.books.do)
        sources.queues.append(sharing.queues)
        sources.targets = tuple(one.name for one in config.storage)
        retention = RetentionTimer(operator, registrar, config.expiry)
        everything: dict[str, Run] = {
            "scrub": Scrubber(operator, config.data, config.scrub).run,
            "backup": BackupTimer(operator, config.data, config.backup, file).run,
            "shared catalogue": sharing.run,
            "storage": StorageRunner(operator, config.data, config.storage, config.store).run,
            "pbx": links.run,
            "channels": ChannelWatch(desk, lambda one: is_up(one, links, heard, time.monotonic())).run,
            "pause alarms": PauseAlarms(config.data, config.pause).run,
            "alarms": alarm_desk.run,
            "conditions": looking.run,
            "room": RoomMaker(operator, registrar, config.store).run,
            "retention": retention.run,
            "checkpoints": CheckpointPublisher(registrar.ledger, config.ledger).run,
            "clock": watch.run,
            "stamps": stamper.run,
            "canary": canary.run,
            **({"sign-on": sign_on.run} if elsewhere.all else {}),
        }
        if reloader is not None:
            reloader.followers = [alarm_desk, looking, retention]
            everything["reload"] = lambda: reloader.run(desk.books.do)
        if keys is not None:
            everything["keys"], sources.keys = keys.run, keys.keys.status
        if config.webhooks.enabled:
            deliverer = Deliverer(registrar, config.webhooks, token_owner(config.data), desk.books.do)
            now.bus.also(deliverer.hear)
            sources.queues.append(deliverer.queues)
            everything["webhooks"] = deliverer.run
        tasks = [keep_up(name, one) for name, one in everything.items()]
        tasks += [_place(config.data)] if test_call else []
        control = ControlServer(config.data, operator)
        try:
            await control.start()
        except StoreError as error:  # commands then say who has the directory; all else goes on
            log.error("alarm: commands cannot reach the recorder", reason=str(error))
        console = _console(config)
        server = await start_api(config.data, config.api, api_routes(config), fill, config.access, console, sockets)
        if reloader is not None and server is not None:
            reloader.followers.append(server.certificate)
        try:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(task)
                await asyncio.Event().wait()
        finally:
            await control.stop()
            if server is not None:
                await server.stop()
            fleet.close()

    return run


async def keep_up(name: str, run: Run, again_s: float = _AGAIN_S) -> None:
    """Run something; when it fails say so and begin it anew: it must not take the API along, and pauses with it."""
    while True:
        try:
            return await run()
        except Exception as error:  # whatever it is, the others go on
            log.error("alarm: something beside recording failed, and is begun anew", what=name, reason=fault(error))
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # it failed while it was ended: that is its end
                raise asyncio.CancelledError from error
        await asyncio.sleep(again_s)


def api_routes(config: Config) -> list[Route]:
    """Return all routes that a recorder with this configuration answers, but for those of every API."""
    recording = (*RECORDING_ROUTES, *CASE_ROUTES, *NOTE_ROUTES)
    return [
        *LOGIN_ROUTES,
        *ACCESS_ROUTES,
        *PAUSE_ROUTES,
        *CONSENT_ROUTES,
        *recording,
        *FLEET_ROUTES,
        *LISTENING_ROUTES,
        *AUDIO_ROUTES,
        *LIVE_ROUTES,
        *LIVE_AUDIO_ROUTES,
        *CANARY_ROUTES,
        *DOCTOR_ROUTES,
        *WEBHOOK_ROUTES,
        *COMPLIANCE_ROUTES,
        *(WITNESS_ROUTES if config.ledger.witness_of else ()),
    ]


def console_pages() -> tuple[Page, ...]:
    """Return the console's pages but for its frame, in the order of the navigation."""
    recordings = (*RECORDING_PAGES, *FLEET_PAGES)
    return (*NOW_PAGES, *DOCTOR_PAGES, *recordings, *COMPLIANCE_PAGES, *SETUP_PAGES, *KEY_PAGES, *WEBHOOK_PAGES)


def _console(config: Config) -> Add:
    def add(app: web.Application, access_of: dict[web.AbstractRoute, Access]) -> None:
        is_shared = bool(config.catalogue.url and config.catalogue.reader)
        pages = [one for one in console_pages() if is_shared or one not in FLEET_PAGES]
        add_console(app, access_of, pages)
        add_metrics(app, access_of, config.api.metrics_from)

    return add


async def _place(data: Path) -> None:
    """Place the test call; whatever becomes of it, recording and API go on."""
    try:
        await place_and_explain(data)
    except Exception as error:
        log.error("the test call failed", reason=fault(error))
