"""Telling webhooks, at a real server: signed as receivers check it, tried again, and no more than may be told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import standardwebhooks
from aiohttp import web
from rig.desk import pipeline_of, two_calls
from rig.now import Now, now_of

from vittne.appliance.access import operations as access
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.server import Operator
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.protocol import NoteLive
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.audit import AuditSearch
from vittne.appliance.webhooks import operations as ops
from vittne.appliance.webhooks.deliver import DELAYS_S, EACH_AT_ONCE, Deliverer
from vittne.appliance.webhooks.settings import WebhooksConfig
from vittne.appliance.webhooks.table import Delivery, WebhookTable

ME = Caller("test")
LOCAL = WebhooksConfig(networks=("127.0.0.0/8",), plain_http=True)


@dataclass
class Receiver:
    """A server that is told. answers: the next statuses; 200 when there are none."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    elsewhere: int = 0
    held: int = 0  # requests that wait for an answer
    answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def hold(self, _: web.Request) -> web.Response:
        self.held += 1
        await self.answer.wait()
        return web.Response()

    async def take(self, request: web.Request) -> web.Response:
        self.came.append((dict(request.headers), await request.read()))
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    async def other(self, _: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.Response()


@dataclass
class Rig:
    """A recorder's pieces, a receiver, and what delivers."""

    now: Now
    registrar: Registrar
    operator: Operator
    receiver: Receiver
    deliverer: Deliverer
    session: aiohttp.ClientSession

    @property
    def table(self) -> WebhookTable:
        return WebhookTable(self.registrar.catalogue)

    async def add(self, *events: str, **more: Any) -> dict[str, Any]:
        given = {"networks": LOCAL.networks, "plain_http": True, "url": self.receiver.url, **more}
        order = ops.AddWebhook(name="desk", events=events, **given)
        return await self.operator.perform(ops.ADD_WEBHOOK, order, ME)

    async def turn(self) -> None:
        await self.deliverer.turn(self.session)

    def due_now(self) -> None:
        for one in self.table.listed(state="waiting"):
            self.table.note(replace(one, next_us=0))

    def only(self) -> Delivery:
        (one,) = self.table.listed()
        return one


def run(data: Path, use: Callable[[Rig], Awaitable[None]], config: WebhooksConfig = LOCAL) -> None:
    pipeline = pipeline_of(two_calls())
    with now_of(data, pipeline) as now:
        registrar = now.desk._registrar

        async def whole() -> None:
            now.hub.open()
            receiver = Receiver()
            app = web.Application()
            app.router.add_post("/in", receiver.take)
            app.router.add_post("/slow", receiver.hold)
            app.router.add_route("*", "/elsewhere", receiver.other)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/in"
            deliverer = Deliverer(registrar, config)
            now.hub.bus.also(deliverer.hear)
            reports = [{**pipeline.report_of(call), "outcome": ""} for call in pipeline.book.calls.values()]
            registrar.note_live([{**one, "folder": "recordings/x"} for one in reports])
            async with aiohttp.ClientSession(connector=deliverer._connector()) as session:
                await use(Rig(now, registrar, Operator(registrar, OPERATIONS), receiver, deliverer, session))
            now.hub.note(NoteLive([]))
            await runner.cleanup()

        asyncio.run(whole())


def test_a_receiver_checks_the_signature_with_the_secret_it_was_given(tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        told = await rig.add("alarm.raised")
        rig.now.hub.alarms.raise_("the backup failed", {"reason": "no route to +4930123456"})
        await asyncio.sleep(0)
        await rig.turn()

        ((headers, body),) = rig.receiver.came
        said = standardwebhooks.Webhook(told["secret"]).verify(body, {k.lower(): v for k, v in headers.items()})
        assert said["type"] == "alarm.raised"
        assert said["data"]["name"] == "backup-failed"
        assert b"+4930123456" not in body
        assert (rig.only().state, rig.only().last_status) == ("delivered", 200)

    run(tmp_path, use)


def test_a_secret_is_in_one_answer_and_nowhere_else(tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        told = await rig.add("call.begun")
        (kept,) = rig.table.all()
        rows = list(rig.registrar.audit.table.search(AuditSearch(kinds=("webhook",))))
        assert len(rows) == 1
        secret = told["secret"].removeprefix("whsec_")
        assert secret not in kept.secret
        assert secret not in json.dumps([row.details for row in rows])
        assert "secret" not in kept.as_json()
        for path in tmp_path.rglob("*"):
            if path.is_file():
                assert secret.encode() not in path.read_bytes()
        assert (tmp_path / "keys" / "webhooks.key").stat().st_mode & 0o077 == 0

    run(tmp_path, use)


def test_what_is_not_taken_is_tried_again_later_and_later(tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        await rig.add("alarm.raised")
        rig.receiver.answers = [500, 302]
        rig.now.hub.alarms.raise_("the backup failed", {})
        await asyncio.sleep(0)
        await rig.turn()
        first = rig.only()
        assert (first.state, first.attempts, first.last_status) == ("waiting", 1, 500)
        await rig.turn()  # it is not due yet
        assert len(rig.receiver.came) == 1
        rig.due_now()
        await rig.turn()
        assert (rig.only().attempts, rig.only().last_status) == (2, 302)
        assert rig.receiver.elsewhere == 0  # no redirect is followed
        rig.due_now()
        await rig.turn()
        assert (rig.only().state, rig.only().attempts) == ("delivered", 3)
        assert len({headers["webhook-id"] for headers, _ in rig.receiver.came}) == 1

    run(tmp_path, use)


def test_after_a_day_it_is_given_up_and_can_be_sent_again_by_hand(tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        await rig.add("alarm.raised")
        rig.now.hub.alarms.raise_("the backup failed", {})
        await asyncio.sleep(0)
        rig.receiver.answers = [503] * (len(DELAYS_S) + 1)
        for _ in range(len(DELAYS_S) + 1):
            await rig.turn()
            rig.due_now()
        dead = rig.only()
        assert (dead.state, dead.attempts, dead.next_us) == ("dead", len(DELAYS_S) + 1, None)
        assert 23 * 3600 < sum(DELAYS_S) < 25 * 3600
        await rig.operator.perform(ops.TELL_AGAIN, ops.TellAgain(delivery=dead.id), ME)
        await rig.turn()
        assert rig.only().state == "delivered"

    run(tmp_path, use)


def test_who_says_gone_is_left_in_peace(tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        await rig.add("alarm.raised")
        rig.receiver.answers = [410]
        rig.now.hub.alarms.raise_("the backup failed", {})
        await asyncio.sleep(0)
        await rig.turn()
        assert rig.only().state == "dead"

    run(tmp_path, use)


def test_a_call_is_told_as_its_owner_may_see_it(tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        for name, roles in (("eva", ("engineer",)), ("max", ("compliance",)), ("ada", ("agent",))):
            await rig.operator.perform(access.ADD_USER, access.AddUser(name=name, roles=roles), ME)
        users = {user.name: user.id for user in rig.deliverer._users.all()}
        for user in users.values():
            await rig.add("call.begun", owner_kind="user", owner=user)
        await rig.add("call.begun")
        call = rig.now.hub.calls.all()[0]
        rig.now.hub.bus.tell("call", "begun", 1, call)
        await rig.turn()

        told = [json.loads(body)["data"] for _, body in rig.receiver.came]
        assert len(told) == 3  # to an agent the call is not there: it is another's
        callers = {one.get("caller") for one in told}
        assert callers == {call.caller, "•••1", None}
        assert all(one["recording"] == call.recording for one in told)
        kept = json.dumps([one.body for one in rig.table.listed()])
        assert call.caller not in kept

    run(tmp_path, use)


def test_an_owner_who_is_gone_has_nothing_told(tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        await rig.add("alarm.raised", owner_kind="user", owner="nobody")
        rig.now.hub.alarms.raise_("the backup failed", {})
        await asyncio.sleep(0)
        await rig.turn()
        assert rig.receiver.came == []
        assert rig.table.listed() == []

    run(tmp_path, use)


def test_an_address_is_looked_at_again_when_it_is_connected_to(tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        # It was allowed when it was written; the name's address, or the configuration, changed since.
        await rig.add("alarm.raised", url=rig.receiver.url.replace("127.0.0.1", "localhost"))
        rig.now.hub.alarms.raise_("the backup failed", {})
        await asyncio.sleep(0)
        await rig.turn()
        assert rig.receiver.came == []
        assert (rig.only().state, rig.only().last_status) == ("waiting", None)

    run(tmp_path, use, WebhooksConfig(plain_http=True))


def test_a_webhook_that_does_not_answer_holds_up_no_other(tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        await rig.add("alarm.raised", url=rig.receiver.url.replace("/in", "/slow"))
        for _ in range(3 * EACH_AT_ONCE):
            rig.now.hub.alarms.raise_("the backup failed", {})
        await asyncio.sleep(0)
        running = asyncio.create_task(rig.deliverer.run())
        async with asyncio.timeout(30):
            while rig.receiver.held < EACH_AT_ONCE:
                await asyncio.sleep(0.01)
            await rig.add("alarm.cleared")
            rig.now.hub.alarms.clear("backup-failed")
            while not rig.receiver.came:
                await asyncio.sleep(0.01)
            assert rig.receiver.held == EACH_AT_ONCE  # of the slow one, no more than a few are tried
            rig.receiver.answer.set()
            while any(one.state != "delivered" for one in rig.table.listed()):
                await asyncio.sleep(0.01)
        assert rig.receiver.held == 3 * EACH_AT_ONCE
        running.cancel()

    run(tmp_path, use)
