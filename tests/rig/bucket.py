"""A small real S3 server on loopback (moto), which checks signatures and keeps object locks; and a client to ask it."""

from __future__ import annotations

import json
import logging
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from moto.server import ThreadedMotoServer

_NUMBERS = count(1)


@dataclass(frozen=True)
class Store:
    """The server. client: of its administrator."""

    url: str
    client: Any
    key: str
    secret: str

    def bucket(self, locks: bool = False) -> str:
        """Make a bucket that no other test has."""
        name = f"recordings-{next(_NUMBERS)}"
        self.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locks)
        return name

    def keys(self, bucket: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket=bucket)
        return [one["Key"] for one in found.get("Contents", ())]

    def versions(self, bucket: str) -> int:
        return len(self.client.list_object_versions(Bucket=bucket).get("Versions", ()))


@contextmanager
def serving() -> Iterator[Store]:
    """Serve on a free port of loopback; the access key may do everything, others nothing."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    url = f"http://127.0.0.1:{port}"
    try:
        key, secret = _administrator(url)
        _post(f"{url}/moto-api/reset-auth", b"0")  # from now on signatures and policies are looked at
        yield Store(url, _client("s3", url, key, secret), key, secret)
    finally:
        _post(f"{url}/moto-api/reset-auth", b"1000000000")
        server.stop()


def credentials(where: Path, key: str, secret: str) -> Path:
    """Write an access key as the recorder reads it."""
    where.touch(mode=0o600)
    where.write_text(f"{key}\n{secret}\n")
    return where


def _administrator(url: str) -> tuple[str, str]:
    iam = _client("iam", url, "first", "first")
    iam.create_user(UserName="recorder")
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="recorder", PolicyName="all", PolicyDocument=json.dumps(everything))
    made = iam.create_access_key(UserName="recorder")["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


def _client(service: str, url: str, key: str, secret: str) -> Any:
    return botocore.session.Session().create_client(
        service,
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )


def _post(url: str, body: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "text/plain"})) as answer:
        answer.read()
