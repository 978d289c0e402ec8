"""Whatever is wrong with a request, the answer is a problem document that helps, and tells nothing else."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from api.harness import TESTED, Served, run_served
from pydantic import Field, ValidationError
from structlog.testing import capture_logs

from vittne.appliance.api.bodies import ApiModel, answer, body_of, query_of
from vittne.appliance.api.moments import Span
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.routes import PUBLIC, Route
from vittne.appliance.store.errors import StoreError

SECRET = "4111111111111111"


class Party(ApiModel):
    seat: int = Field(ge=0, le=1)


class Body(ApiModel):
    reason: str = Field(max_length=100)
    parties: tuple[Party, ...] = ()


class Query(ApiModel):
    limit: int = 10


async def echo(request: web.Request) -> web.Response:
    return answer(await body_of(request, Body))


async def nothing(request: web.Request) -> web.Response:
    return answer(await body_of(request, Query, or_empty=True))


async def query(request: web.Request) -> web.Response:
    return answer(query_of(request, Query))


async def broken(_: web.Request) -> web.Response:
    raise RuntimeError(f"a fault with {SECRET} in it")


async def wrong_answer(_: web.Request) -> web.Response:
    return answer(Party(seat=7))


async def no_disk(_: web.Request) -> web.Response:
    raise StoreError("cannot write", "/srv/vittne", "free space")


async def no_call(_: web.Request) -> web.Response:
    raise Problem(404, "/problems/no-such-call", "No such call", "none that lives", call="x")


ROUTES = [
    Route("POST", "/api/v1/echo", echo, PUBLIC, TESTED),
    Route("POST", "/api/v1/nothing", nothing, PUBLIC, TESTED),
    Route("GET", "/api/v1/query", query, PUBLIC, TESTED),
    Route("GET", "/api/v1/broken", broken, PUBLIC, TESTED),
    Route("GET", "/api/v1/wrong-answer", wrong_answer, PUBLIC, TESTED),
    Route("GET", "/api/v1/no-disk", no_disk, PUBLIC, TESTED),
    Route("GET", "/api/v1/no-call/{number}", no_call, PUBLIC, TESTED),
]


def test_health_says_one_word_and_carries_the_headers_of_every_answer(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        found = await served.get("health")

        assert (found.status, found.json) == (200, {"status": "ok"})
        assert found.headers["Content-Type"] == "application/json"
        assert found.headers["X-Content-Type-Options"] == "nosniff"
        assert found.headers["Cache-Control"] == "no-store"
        assert found.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert found.headers["Referrer-Policy"] == "no-referrer"
        assert found.headers["Server"] == "vittne"
        assert len(found.headers["X-Request-Id"]) == 32

    run_served(tmp_path, use)


def test_an_address_that_is_none_and_a_method_that_does_not_fit(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        nowhere = await served.get("calls/46701234567")
        other = await served.ask("DELETE", "health")

        assert nowhere.status == 404
        assert nowhere.problem["type"] == "/problems/no-such-resource"
        assert "46701234567" not in nowhere.body.decode()
        assert other.problem["type"] == "/problems/method-not-allowed"
        assert other.problem["allowed"] == ["GET"]
        assert other.headers["Allow"] == "GET"

    run_served(tmp_path, use)


def test_a_problem_keeps_its_type_and_members(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        found = (await served.get("no-call/x")).problem

        assert found["type"] == "/problems/no-such-call"
        assert (found["detail"], found["call"]) == ("none that lives", "x")

    run_served(tmp_path, use, routes=ROUTES)


def test_all_wrong_keys_are_told_at_once_with_what_is_expected(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        sent = {"reason": 5, "parties": [{"seat": 0}, {"seat": "left"}, {"seat": 2}], "colour": "red"}

        found = (await served.post("echo", json=sent)).problem

        assert found["status"] == 422
        assert found["type"] == "/problems/invalid-request"
        assert {one["path"]: one["expected"] for one in found["errors"]} == {
            "reason": "Input should be a valid string",
            "parties.1.seat": "Input should be a valid integer",
            "parties.2.seat": "Input should be less than or equal to 1",
            "colour": "Extra inputs are not permitted",
        }

    run_served(tmp_path, use, routes=ROUTES)


def test_what_was_sent_is_not_repeated(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        found = await served.post("echo", json={"reason": SECRET * 20, "k" * 5000: 1})

        assert SECRET not in found.body.decode()
        assert len(found.body) < 1000

    run_served(tmp_path, use, routes=ROUTES)


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"reason": "\xc3"}', b"[" * 5000, b"", b"NaN x"])
def test_a_body_that_is_no_json(tmp_path: Path, body: bytes) -> None:
    async def use(served: Served) -> None:
        found = await served.post("echo", data=body, headers={"Content-Type": "application/json"})

        assert found.problem["type"] == "/problems/malformed-body"
        assert found.status == 400

    run_served(tmp_path, use, routes=ROUTES)


def test_a_body_of_another_kind_or_compressed(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        form = await served.post("echo", data={"reason": "x"})
        latin = await served.post("echo", data=b"{}", headers={"Content-Type": "application/json; charset=latin-1"})
        packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        small = await served.post("echo", data=gzip.compress(b"{}" * 9), headers=packed)

        assert [one.problem["type"] for one in (form, latin)] == ["/problems/not-json"] * 2
        assert small.problem["type"] == "/problems/body-encoded"
        assert {one.status for one in (form, latin, small)} == {415}

    run_served(tmp_path, use, routes=ROUTES)


def test_no_body_stands_for_no_values_where_a_handler_says_so(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        assert (await served.post("nothing")).json == {"limit": 10}
        assert (await served.post("nothing", json={"limit": 3})).json == {"limit": 3}

    run_served(tmp_path, use, routes=ROUTES)


def test_a_body_over_the_limit_is_refused_whether_its_length_was_said_or_not(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1024

    async def use(served: Served) -> None:
        kind = {"Content-Type": "application/json"}
        said = await served.post("echo", data=b" " * 65_537, headers=kind)
        unsaid = await served.post("echo", data=pieces(), headers=kind)
        fits = await served.post("echo", data=b'{"reason": "x"}'.ljust(65_536), headers=kind)

        assert [one.problem["type"] for one in (said, unsaid)] == ["/problems/body-too-large"] * 2
        assert (said.status, unsaid.status, fits.status) == (413, 413, 200)

    run_served(tmp_path, use, routes=ROUTES)


def test_a_query_is_checked_like_a_body(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        assert (await served.get("query?limit=5")).json == {"limit": 5}
        assert (await served.get("query?limit=many")).problem["errors"][0]["path"] == "limit"
        assert (await served.get("query?limit=1&limit=2")).problem["type"] == "/problems/malformed-query"

    run_served(tmp_path, use, routes=ROUTES)


def test_a_fault_of_ours_is_found_in_the_log_and_nowhere_else(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        with capture_logs() as lines:
            found = await served.get("broken")

        assert found.problem["type"] == "/problems/fault"
        assert found.status == 500
        (line,) = [line for line in lines if line["log_level"] == "error"]
        assert line["error_id"] == found.problem["error_id"]
        assert "RuntimeError" in line["reason"]
        assert "broken" in line["reason"]
        assert SECRET not in found.body.decode() + str(lines)
        assert "Traceback" not in found.body.decode()
        assert "test_problems" not in found.body.decode()

    run_served(tmp_path, use, routes=ROUTES)


def test_an_answer_that_we_build_wrongly_is_our_fault_not_the_clients(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        assert (await served.get("wrong-answer")).status == 500

    run_served(tmp_path, use, routes=ROUTES)


def test_a_disk_that_fails_is_told_without_its_path(tmp_path: Path) -> None:
    async def use(served: Served) -> None:
        with capture_logs() as lines:
            found = await served.get("no-disk")

        assert found.status == 503
        assert found.problem["type"] == "/problems/storage"
        assert found.headers["Retry-After"] == "1"
        assert "/srv" not in found.body.decode()
        assert "cannot write: /srv/vittne" in str(lines)

    run_served(tmp_path, use, routes=ROUTES)


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        f"GET /api/v1/health?token={SECRET} HTTP/9\r\n\r\n".encode(),
        b"GET /api/v1/health?token=" + SECRET.encode() + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /api/v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_bytes_that_are_no_http_get_a_problem_and_are_not_logged(
    tmp_path: Path, sent: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    async def use(served: Served) -> None:
        with capture_logs() as lines:
            head, body = await raw(served, sent)

        assert head.split(b" ")[1] == b"400"
        assert b"application/problem+json" in head
        assert b"nosniff" in head
        assert b'"status":400' in body
        assert SECRET not in str(lines)
        assert SECRET.encode() not in body

    run_served(tmp_path, use, routes=ROUTES)
    assert SECRET not in "".join(capfd.readouterr())


async def raw(served: Served, sent: bytes) -> tuple[bytes, bytes]:
    trust = ssl.create_default_context(cafile=served.certificate.files.certificate)
    reader, writer = await asyncio.open_connection(*served.address, ssl=trust)
    writer.write(sent)
    whole = await reader.read()
    writer.close()
    head, _, body = whole.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize("text", ["0336-02-21T23:45:08Z", "9999-12-31T23:59:59-14:00", "0.5", "1970-01-01"])
def test_a_time_that_nothing_can_count_to_is_the_askers_mistake(text: str) -> None:
    with pytest.raises(ValidationError):
        Span.model_validate_strings({"since": text})
