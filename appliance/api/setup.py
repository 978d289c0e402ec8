"""Setting a recorder up over the API: how far it is, what the interfaces receive, a test call, settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from vittne.appliance.access.scopes import SETTINGS, USERS
from vittne.appliance.api.auth import GATE, principal_of
from vittne.appliance.api.bodies import ApiModel, answer, body_of
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.changeable import AT_ONCE, AT_START, flat, nested, read_settings
from vittne.appliance.config import Config, checked
from vittne.appliance.datadir import ConfigError, config_file, read_toml
from vittne.appliance.settings_operation import CHANGE_SETTINGS, ChangeSettings
from vittne.appliance.setupsteps import steps
from vittne.appliance.testcall import place_call
from vittne.appliance.traffic import Traffic


@dataclass(slots=True)
class SetUp:
    """What is in force. above: keys that the configuration's file or the command line sets; file: as it was named."""

    config: Config
    above: frozenset[str] = frozenset()
    traffic: Traffic = field(default_factory=Traffic)
    is_calling: bool = False
    file: Path | None = None

    def prepare(self, config: Config) -> Callable[[], None]:
        """Return what has a configuration shown. Raises StoreError."""
        found = set_up_of(config, self.file)

        def use() -> None:
            self.config, self.above = found.config, found.above

        return use


SET_UP: Final = web.AppKey("vittne.set_up", SetUp)


def set_up_of(config: Config, file: Path | None, environ: Mapping[str, str] | None = None) -> SetUp:
    """Return what handlers need. file: the configuration's, as it was named. Raises StoreError."""
    found = config_file(file, environ)
    named = flat(read_toml(found)).keys() if found is not None else set()
    below = flat(read_settings(config.data))
    given = flat(config.model_dump(mode="json", exclude_unset=True))
    other = {name for name, value in given.items() if name not in below or below[name] != value}
    return SetUp(config, frozenset((set(named) | other) & (AT_ONCE | AT_START)), file=file)


class StepShown(ApiModel):
    """A step. state: done, todo, or warn where something would be lost."""

    name: str
    state: str
    found: str
    facts: dict[str, Any]


class StepsShown(ApiModel):
    """How far the recorder is set up."""

    steps: list[StepShown]


class InterfaceShown(ApiModel):
    """What an interface receives. Rates are null at the first look; ask again after a second."""

    name: str
    state: str
    speed_mbit: int | None
    packets: int
    drops: int
    packets_per_s: float | None
    bits_per_s: int | None
    is_recorded: bool


class InterfacesShown(ApiModel):
    """The interfaces of this machine."""

    interfaces: list[InterfaceShown]


class TestCallShown(ApiModel):
    """A test call that was placed: the Call-ID to look for."""

    call_id: str


class SettingShown(ApiModel):
    """A setting. value: in force; chosen: what was set here, null where nothing was; is_fixed: the file says it."""

    name: str
    value: Any
    chosen: Any
    is_fixed: bool
    needs_start: bool


class SettingsShown(ApiModel):
    """Settings that may be changed here."""

    settings: list[SettingShown]


class SettingsChange(ApiModel):
    """values: by section.key; null takes one back."""

    values: dict[str, Any]


class SettingsChanged(ApiModel):
    """What changed, and what of it counts from the next start on."""

    changed: list[str]
    at_start: list[str]


def interfaces_of(request: web.Request) -> list[dict[str, Any]]:
    """Return what the interfaces receive now."""
    set_up = request.app[SET_UP]
    now_s = request.app[GATE].mono_s()
    return [{**one, "is_recorded": one["name"] in set_up.config.interfaces} for one in set_up.traffic.look(now_s)]


async def steps_of(request: web.Request) -> list[StepShown]:
    """Return how far the recorder is set up."""
    reader, config = request.app[READER], request.app[SET_UP].config
    found = await reader(steps, reader.data_dir, config)
    return [StepShown(name=one.name, state=one.state, found=one.found, facts=one.facts) for one in found]


def settings_of(request: web.Request) -> list[SettingShown]:
    """Return what may be changed here. Raises StoreError."""
    set_up = request.app[SET_UP]
    chosen = flat(read_settings(request.app[READER].data_dir))
    whole = set_up.config.model_dump(mode="json")
    in_force = {**flat(whole), **flat({"access": request.app[GATE].settings.model_dump(mode="json")})}
    return [
        SettingShown(
            name=name,
            value=in_force[name],
            chosen=chosen.get(name),
            is_fixed=name in set_up.above,
            needs_start=name in AT_START,
        )
        for name in sorted(AT_ONCE | AT_START)
    ]


async def progress(request: web.Request) -> web.Response:
    """Say how far the recorder is set up."""
    return answer(StepsShown(steps=await steps_of(request)))


async def interfaces(request: web.Request) -> web.Response:
    """Say what the interfaces receive."""
    return answer(InterfacesShown(interfaces=[InterfaceShown(**one) for one in interfaces_of(request)]))


async def test_call(request: web.Request) -> web.Response:
    """Place a call over loopback, and wait until it has ended."""
    set_up = request.app[SET_UP]
    if "lo" not in set_up.config.interfaces:
        detail = "it goes over loopback: record from lo as well, or place a call with a telephone"
        raise Problem(409, "/problems/not-recorded", "A test call would not be recorded", detail)
    if set_up.is_calling:
        raise Problem(409, "/problems/still-running", "A test call is being placed", "it takes some 5 s")
    set_up.is_calling = True
    try:
        return answer(TestCallShown(call_id=await place_call()), 201)
    finally:
        set_up.is_calling = False


async def settings(request: web.Request) -> web.Response:
    """Show what may be changed here."""
    return answer(SettingsShown(settings=settings_of(request)))


async def change_settings(request: web.Request) -> web.Response:
    """Change settings."""
    body = await body_of(request, SettingsChange)
    set_up, gate = request.app[SET_UP], request.app[GATE]
    if any(name.startswith("access.") for name in body.values) and not principal_of(request).may(USERS):
        detail = "how people log in is changed by who may change users"
        raise Problem(403, "/problems/missing-scope", "You may not do this", detail, scope=USERS)
    fixed = sorted(body.values.keys() & set_up.above)
    if fixed:
        detail = f"{', '.join(fixed)}: the configuration's file says it; change it there"
        raise Problem(409, "/problems/set-elsewhere", "This is set in the configuration's file", detail)
    try:
        order = ChangeSettings(values=body.values)
        done = await request.app[OPERATOR].perform(CHANGE_SETTINGS, order, principal_of(request).caller)
    except ConfigError as error:
        raise Problem(422, "/problems/no-such-setting", error.what.capitalize(), error.next_step) from None
    given = flat(set_up.config.model_dump(mode="json", exclude_unset=True))
    kept = {name: value for name, value in given.items() if name in set_up.above}
    now = checked(nested({**flat(read_settings(request.app[READER].data_dir)), **kept}), "settings")
    gate.use(now.access.model_copy(update={"host": gate.settings.host}))
    return answer(SettingsChanged(**done))


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Set-up", answers, **more)


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/setup",
        progress,
        needs(SETTINGS),
        _about("How far the recorder is set up", {200: Answer("The steps", StepsShown)}),
    ),
    Route(
        "GET",
        f"{PREFIX}/interfaces",
        interfaces,
        needs(SETTINGS),
        _about("What the interfaces receive", {200: Answer("Those of this machine", InterfacesShown)}),
    ),
    Route(
        "POST",
        f"{PREFIX}/setup/test-call",
        test_call,
        needs(SETTINGS, is_fresh=True),
        _about("Place a test call", {201: Answer("It has ended", TestCallShown)}, problems=(409,)),
    ),
    Route(
        "GET",
        f"{PREFIX}/settings",
        settings,
        needs(SETTINGS),
        _about("Settings that may be changed here", {200: Answer("The settings", SettingsShown)}),
    ),
    Route(
        "PATCH",
        f"{PREFIX}/settings",
        change_settings,
        needs(SETTINGS, is_fresh=True),
        _about("Change settings", {200: Answer("What changed", SettingsChanged)}, body=SettingsChange, problems=(409,)),
    ),
)
