"""Logging in with a password: what it gives, what it refuses, and that no other site can use it."""

from __future__ import annotations

import asyncio
import sqlite3
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from api.harness import Answer, Served, serving
from rig.passwords import KEPT, PASSWORD

from vittne.appliance.access import operations as ops
from vittne.appliance.access.invitations import code_sha256, new_code
from vittne.appliance.api.access_routes import ACCESS_ROUTES
from vittne.appliance.api.limits import Limits
from vittne.appliance.api.logins import OPERATOR, ROUTES
from vittne.appliance.api.refusals import FIRST, WINDOW_S
from vittne.appliance.api.routes import ANYBODY, PREFIX, About, Route, needs
from vittne.appliance.api.sessions import COOKIE, CSRF_HEADER
from vittne.appliance.audit import commitment
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.operation import Operation, Order, Progress, Steps
from vittne.appliance.control.server import Operator
from vittne.appliance.looks import LOOK, Look
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.registrar import Registrar
from vittne.appliance.searches import SEARCHED, Searched
from vittne.appliance.store.audit import AuditRow, AuditSearch, AuditTable
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue, NoSuchCall
from vittne.appliance.store.times import now_us

ME = Caller("test")


async def changed(_: web.Request) -> web.Response:
    return web.Response(status=204)


MORE = (
    Route("POST", f"{PREFIX}/change", changed, ANYBODY, About("change", "Tests")),
    Route("GET", f"{PREFIX}/keys", changed, needs("keys"), About("keys", "Tests")),
)


class Console:
    """A server with a registrar, one user named anna, and a browser of sorts."""

    def __init__(self, served: Served, registrar: Registrar, operator: Operator) -> None:
        self.served = served
        self.registrar = registrar
        self.operator = operator
        self.cookie = ""
        self.csrf = ""

    async def ask(self, method: str, path: str, csrf: bool = True, **options: Any) -> Answer:
        headers = {"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}
        headers |= {CSRF_HEADER: self.csrf} if csrf and self.csrf else {}
        found = await self.served.ask(method, path, headers=headers, **options)
        self._keep(found)
        return found

    async def add(self, name: str, *roles: str) -> None:
        await self.operator.perform(ops.ADD_USER, ops.AddUser(name=name, roles=roles), ME)
        await self.operator.perform(ops.SET_PASSWORD, ops.SetPassword(user=name, password=KEPT), ME)

    async def log_in(self, name: str = "anna", password: str = PASSWORD) -> Answer:
        found = await self.served.post("session", json={"name": name, "password": password})
        self._keep(found)
        return found

    def _keep(self, found: Answer) -> None:
        if "Set-Cookie" in found.headers and found.status == 201:
            self.cookie = found.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
            self.csrf = found.json["csrf"]


def run(data: Path, use: Callable[[Console], Awaitable[None]], **options: Any) -> None:
    async def whole() -> None:
        registrar = Registrar(data)
        operator = Operator(registrar, OPERATIONS)

        def fill(app: web.Application) -> None:
            app[OPERATOR] = operator

        async with serving(data, (*ROUTES, *ACCESS_ROUTES, *MORE), fill=fill, **options) as served:
            console = Console(served, registrar, operator)
            await console.add("anna", "supervisor")
            await use(console)
        registrar.close()

    asyncio.run(whole())


def test_who_logs_in_is_known_and_may_what_the_roles_say(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        found = await console.log_in()
        assert found.status == 201
        cookie = found.headers["Set-Cookie"]
        assert cookie.startswith("__Host-vittne=")
        for word in ("HttpOnly", "Secure", "SameSite=Strict", "Path=/"):
            assert word in cookie
        me = await console.ask("GET", "whoami")
        assert me.json["kind"] == "user"
        assert "listen" in me.json["scopes"]
        refused = await console.ask("GET", "keys")
        assert refused.status == 403
        assert refused.problem["scope"] == "keys"

    run(tmp_path, use)


def test_a_change_that_another_site_makes_the_browser_send_is_refused(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.log_in()
        assert (await console.ask("POST", "change")).status == 204
        refused = await console.ask("POST", "change", csrf=False)
        assert refused.problem["type"] == "/problems/no-csrf-token"
        console.csrf = console.csrf[::-1]  # as long, and another
        assert (await console.ask("POST", "change")).status == 403

    run(tmp_path, use)


@pytest.mark.parametrize(("name", "password"), [("anna", "another password"), ("nobody", PASSWORD), ("anna", "x")])
def test_a_wrong_name_is_answered_like_a_wrong_password(tmp_path: Path, name: str, password: str) -> None:
    async def use(console: Console) -> None:
        found = await console.log_in(name, password)
        assert found.status == 401
        assert found.problem["title"] == "Name or password is not right"
        assert "Set-Cookie" not in found.headers

    run(tmp_path, use)


def test_who_is_wrong_too_often_waits_wherever_the_next_try_comes_from(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        for _ in range(3):
            assert (await console.log_in(password="wrong")).status == 401
        assert (await console.log_in()).status == 429
        console.served.clock.at_s += 60
        assert (await console.log_in()).status == 201

    run(tmp_path, use, limits=Limits(failures=3))


def test_passwords_that_come_all_at_once_are_no_more_tries_than_one_after_the_other(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        found = await asyncio.gather(*(console.log_in(password="wrong") for _ in range(12)))
        assert sorted(one.status for one in found) == [401] * 3 + [429] * 9
        assert len(list(console.registrar.audit.table.search(AuditSearch(kinds=("login",))))) == 3

    run(tmp_path, use, limits=Limits(failures=3))


def test_a_stranger_who_tries_a_name_does_not_keep_its_owner_from_where_they_work(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.log_in()
        here, console.served.session = console.served.session, at("127.0.0.2", console.served)
        try:
            for _ in range(3):
                assert (await console.log_in(password="wrong")).status == 401
            assert (await console.log_in()).status == 429
        finally:
            await console.served.session.close()
            console.served.session = here
        assert (await console.log_in()).status == 201

    run(tmp_path, use, limits=Limits(failures=3))


def at(source: str, served: Served) -> aiohttp.ClientSession:
    """Return a client that comes from another address of this machine."""
    trust = ssl.create_default_context(cafile=served.certificate.files.certificate)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust, local_addr=(source, 0)))


def test_wrong_names_do_not_keep_a_code_from_being_used(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        here, console.served.session = console.served.session, at("127.0.0.2", console.served)
        try:
            for _ in range(3):
                assert (await console.log_in(" ", "wrong")).status == 401
        finally:
            await console.served.session.close()
            console.served.session = here
        found = await console.served.post("invitation", json={"code": new_code(), "password": PASSWORD})
        assert found.status == 401

    run(tmp_path, use, limits=Limits(failures=3))


def test_a_neighbour_behind_the_same_address_keeps_nobody_waiting(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.add("bo")
        for _ in range(4):
            found = await console.log_in("bo", "wrong")
        assert found.status == 429
        assert (await console.log_in()).status == 201
        for n in range(8):
            await console.log_in(f"nobody {n}", "wrong")
        assert (await console.log_in("bo")).status == 429  # the house as a whole waits now, where it never logged in
        assert (await console.log_in()).status == 201

    run(tmp_path, use, limits=Limits(failures=3, crowd=10))


def test_many_refused_logins_are_few_entries_that_say_how_many(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        def rows() -> list[AuditRow]:
            every = console.registrar.audit.table.search(AuditSearch(kinds=("login",)))
            return [row for row in every if row.details["login"] == "refused"]

        for _ in range(20):
            assert (await console.log_in(password="wrong")).status == 401
        assert len(rows()) == FIRST
        console.served.clock.at_s += WINDOW_S
        await console.log_in(password="wrong")
        (told,) = [row for row in rows() if row.details.get("count")]
        assert (told.details["count"], told.details["sources"], told.details["source"]) == (16, 1, "127.0.0.1")
        assert told.details["user"]
        assert len(rows()) == FIRST + 1
        for _ in range(FIRST + 3):
            await console.log_in(password="wrong")

    run(tmp_path, use, limits=Limits(failures=1000, crowd=1000))
    with Catalogue(tmp_path / CATALOGUE_FILE, read_only=True) as catalogue:
        told = [row.details.get("count") for row in AuditTable(catalogue).search(AuditSearch(kinds=("login",)))]
    assert told[-1] == 3  # what was only counted is written at the end


def test_a_code_that_two_come_with_at_once_sets_one_password(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        code = new_code()
        order = ops.Invite(user="anna", code_sha256=code_sha256(code), expires_us=now_us() + 60_000_000)
        await console.operator.perform(ops.INVITE, order, ME)
        tries = [{"code": code, "password": f"{word} horse, a battery"} for word in ("one", "two")]
        found = await asyncio.gather(*(console.served.post("invitation", json=one) for one in tries))
        assert sorted(one.status for one in found) == [201, 401]
        first = next(one for one, answer in zip(tries, found, strict=True) if answer.status == 201)
        assert (await console.log_in(password=first["password"])).status == 201

    run(tmp_path, use)


def test_who_logs_in_or_looks_does_not_wait_for_the_end_of_what_takes_long(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        going = asyncio.create_task(console.operator.perform(ENDLESS, Order(), ME))
        await asyncio.sleep(0)
        async with asyncio.timeout(30):
            assert (await console.log_in()).status == 201
            order = Searched(where="calls", query={"number": "1"}, found=0)
            await console.operator.perform(SEARCHED, order, ME)
        assert not going.done()
        going.cancel()

    run(tmp_path, use)


def test_looks_at_the_same_time_share_a_sync_and_each_has_its_own_row_or_refusal(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        operator, flushes, ledger = console.operator, [], console.registrar.ledger
        flush = ledger.flush
        ledger.flush = lambda: flushes.append(1) or flush()  # type: ignore[func-returns-value,method-assign]
        orders = [Searched(where="calls", query={"number": str(n)}, found=n) for n in range(20)]
        found = await asyncio.gather(
            *(operator.perform(SEARCHED, one, ME) for one in orders),
            operator.perform(LOOK, Look(kind="play", recording="nothing"), ME),
            return_exceptions=True,
        )
        assert len(flushes) < 5
        assert isinstance(found.pop(), NoSuchCall)
        rows = {row.id: row for row in console.registrar.audit.table.search(AuditSearch(kinds=("search",)))}
        told = [one for one in found if isinstance(one, dict)]
        assert [rows[one["audit"]].details["ledger"]["found"] for one in told] == list(range(20))
        assert all(row.entry is not None for row in rows.values())

    run(tmp_path, use)


def test_what_is_about_people_and_the_trail_is_brief() -> None:
    """Two that go through the tables of users at the same time would overwrite one another."""
    first_words = ("user.", "role.", "factor.", "token.", "look", "heard", "searched")
    about = [one for one in OPERATIONS if one.name.startswith(first_words)]
    assert len(about) > 15
    assert all(one.is_brief for one in about)
    others = {"alarms.list", "alarms.test", "canary.place", "doctor", "support"}  # that a long one never meets
    assert {one.name for one in OPERATIONS if one.is_brief} == {one.name for one in about} | others


def _endless(_: Registrar, __: Order, ___: Caller) -> Steps:
    while True:
        yield Progress(0, 0)


ENDLESS: Operation[Order] = Operation("endless", "erasing thousands", Order, _endless)


def test_logins_are_in_the_trail_and_the_password_is_nowhere(tmp_path: Path, capfd: Any) -> None:
    async def use(console: Console) -> None:
        await console.log_in(password="wrong horse wrong horse")
        await console.log_in(name="wrong horse wrong horse", password=PASSWORD)
        await console.log_in()
        await console.ask("DELETE", "session")
        rows = list(console.registrar.audit.table.search(AuditSearch(kinds=("login",))))
        assert [row.details["login"] for row in rows] == ["refused", "refused", "in", "out"]
        assert all(row.entry is not None and commitment(row) for row in rows)
        assert rows[1].details["user"] == ""

    run(tmp_path, use)
    said = "".join(capfd.readouterr())
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (PASSWORD, "wrong horse"):
        assert secret not in said
        assert secret.encode() not in kept


def test_who_logs_out_or_is_shut_out_is_out_at_once(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.log_in()
        assert (await console.ask("DELETE", "session")).status == 204
        assert (await console.ask("GET", "whoami")).status == 401

        await console.log_in()
        await console.operator.perform(ops.CHANGE_USER, ops.ChangeUser(user="anna", is_disabled=True), ME)
        assert (await console.ask("GET", "whoami")).status == 401
        assert (await console.log_in()).status == 401

    run(tmp_path, use)


def test_a_session_ends_when_it_is_not_used_and_after_a_day_at_work(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.log_in()
        for _ in range(3):
            console.served.clock.at_s += 29 * 60
            assert (await console.ask("GET", "whoami")).status == 200
        console.served.clock.at_s += 31 * 60
        assert (await console.ask("GET", "whoami")).status == 401

        await console.log_in()
        for _ in range(25):
            console.served.clock.at_s += 29 * 60
            last = await console.ask("GET", "whoami")
        assert last.status == 401

    run(tmp_path, use)


def test_who_is_logged_in_stays_so_while_somebody_else_writes(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.log_in()
        console.served.clock.at_s += 120
        writer = sqlite3.connect(tmp_path / CATALOGUE_FILE, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        try:
            assert (await console.ask("GET", "whoami")).status == 200
        finally:
            writer.execute("ROLLBACK")
            writer.close()

    run(tmp_path, use)


def test_another_place_is_logged_out_from_here(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.log_in()
        elsewhere = console.cookie
        await console.log_in()
        listed = (await console.ask("GET", "sessions")).json["sessions"]
        assert [one["is_this"] for one in listed] in ([True, False], [False, True])
        other = next(one["id"] for one in listed if not one["is_this"])
        assert (await console.ask("DELETE", f"sessions/{other}")).status == 204
        assert (await console.ask("DELETE", f"sessions/{other}")).status == 404
        console.cookie = elsewhere
        assert (await console.ask("GET", "whoami")).status == 401

    run(tmp_path, use)


def test_a_code_sets_a_password_once(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        code = new_code()
        order = ops.Invite(user="anna", code_sha256=code_sha256(code), expires_us=now_us() + 10**12)
        await console.operator.perform(ops.INVITE, order, ME)
        weak = await console.served.post("invitation", json={"code": code, "password": "short"})
        assert weak.problem["type"] == "/problems/weak-password"
        new = "several words that do not belong together"
        found = await console.served.post("invitation", json={"code": code.lower(), "password": new})
        assert found.status == 201
        assert (await console.served.post("invitation", json={"code": code, "password": new})).status == 401
        assert (await console.log_in()).status == 401
        assert (await console.log_in(password=new)).status == 201

    run(tmp_path, use)


def test_another_password_ends_every_other_session(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.log_in()
        elsewhere = console.cookie
        await console.log_in()
        new = "several words that do not belong together"
        wrong = await console.ask("POST", "session/password", json={"password": "wrong", "new_password": new})
        assert wrong.status == 403
        found = await console.ask("POST", "session/password", json={"password": PASSWORD, "new_password": new})
        assert found.status == 201
        console.cookie = elsewhere
        assert (await console.ask("GET", "whoami")).status == 401

    run(tmp_path, use)
