"""The API of a recorder in a room, asked as an integration would."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rig.live import vittne
from rig.namespaces import Room

_ADDRESS = "https://127.0.0.1:8443/api/v1"


@dataclass(frozen=True)
class Api:
    """Where it is, and a token."""

    room: Room
    data: Path
    token: str

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return self.room.call(_ask, f"{_ADDRESS}/{path}", self.token, body, str(self.data))

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        return self.room.call(_ask, f"{_ADDRESS}/{path}", self.token, None, str(self.data))


def api_of(room: Room, data: Path) -> Api:
    """Make a token, and wait until the API answers."""
    made = vittne(
        "token", "create", "test", "--scope", "pause", "--scope", "read", "--scope", "consent", "--data", str(data)
    )
    assert made.returncode == 0, made.stderr
    token = next(word for word in made.stdout.split() if word.startswith("vtn_"))
    api = Api(room, data, token)
    deadline = time.monotonic() + 90  # a machine may be busy
    while time.monotonic() < deadline:
        if (data / "tls" / "certificate.pem").exists() and api.post("pauses", {})[0] == 422:
            return api
        time.sleep(0.2)
    raise AssertionError("the API does not answer")


def _ask(url: str, token: str, body: dict[str, Any] | None, data: str) -> tuple[int, dict[str, Any]]:
    context = ssl.create_default_context(cafile=f"{data}/tls/certificate.pem")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, sent, headers)
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as found:
            return found.status, json.load(found)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except urllib.error.URLError as error:
        return 0, {"title": str(error)}
