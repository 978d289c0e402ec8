"""Copies in an S3-compatible store; what is said of locks is asked of the server itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from cuts import REC, cut_span
from lives import DAY_US, classed, folder
from rig.bucket import Store

from vittne.appliance.store.times import now_us

Vittne = Callable[..., tuple[int, str, str]]
Configured = Callable[..., Path]
Table = Callable[..., str]


def push(vittne: Vittne, config: Path) -> tuple[int, list[str]]:
    status, out, _ = vittne("storage", "push", "--config", config, "--json")
    (told,) = json.loads(out)
    return status, told["problems"]


def head(s3: Store, bucket: str, key: str) -> dict[str, object]:
    found: dict[str, object] = s3.client.head_object(Bucket=bucket, Key=key)
    return found


def test_a_recording_is_copied_with_all_its_files_below_the_box_of_its_archive(
    vittne: Vittne, data: Path, configured: Configured, bucket_table: Table, s3: Store
) -> None:
    bucket = s3.bucket()

    assert push(vittne, configured(bucket_table(bucket, more='prefix = "calls"'))) == (0, [])

    keys = [key for key in s3.keys(bucket) if REC in key]
    assert {key.split("/")[0] for key in s3.keys(bucket)} == {"calls"}
    assert sorted(key.rpartition("/")[2] for key in keys) == sorted(path.name for path in folder(data).iterdir())
    for key in keys:
        stored = s3.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert stored == (folder(data) / key.rpartition("/")[2]).read_bytes()


def test_a_copy_is_locked_as_long_as_its_class_says(
    vittne: Vittne, data: Path, configured: Configured, bucket_table: Table, s3: Store
) -> None:
    bucket = s3.bucket(locks=True)
    until = now_us() + 400 * DAY_US
    classed(data, "mifid", until, until + DAY_US)

    got = push(vittne, configured(bucket_table(bucket, "compliance")))
    assert got == (0, []), got

    for key in [key for key in s3.keys(bucket) if REC in key]:
        found = head(s3, bucket, key)
        assert found["ObjectLockMode"] == "COMPLIANCE"
        kept = found["ObjectLockRetainUntilDate"]
        assert isinstance(kept, datetime)
        assert 0 <= kept.timestamp() - until / 1e6 < 1
        assert found.get("ObjectLockLegalHoldStatus", "OFF") == "OFF"


def test_a_lock_that_grows_and_a_hold_that_comes_and_goes_reach_the_copy(
    vittne: Vittne, data: Path, configured: Configured, bucket_table: Table, s3: Store
) -> None:
    bucket = s3.bucket(locks=True)
    classed(data, "mifid", now_us() + 10 * DAY_US, now_us() + 20 * DAY_US)
    config = configured(bucket_table(bucket, "governance"))
    push(vittne, config)
    (key,) = [key for key in s3.keys(bucket) if key.endswith("part-0.floe")]

    later = now_us() + 30 * DAY_US
    classed(data, "mifid", later, later + DAY_US)
    vittne("hold", "place", "--label", "case", "--reason", "court", "--id", REC, "--data", data)
    assert push(vittne, config) == (0, [])
    found = head(s3, bucket, key)
    assert found["ObjectLockLegalHoldStatus"] == "ON"
    assert abs(found["ObjectLockRetainUntilDate"].timestamp() - later / 1e6) < 1.1  # type: ignore[attr-defined]

    (hold,) = json.loads(vittne("hold", "list", "--json", "--data", data)[1])
    vittne("hold", "release", hold["id"], "--reason", "over", "--data", data)
    assert push(vittne, config) == (0, [])
    assert head(s3, bucket, key)["ObjectLockLegalHoldStatus"] == "OFF"
    assert s3.versions(bucket) == len(s3.keys(bucket))  # locking wrote nothing anew


def test_a_target_that_begins_to_lock_locks_what_it_has(
    vittne: Vittne, data: Path, configured: Configured, bucket_table: Table, s3: Store
) -> None:
    bucket = s3.bucket(locks=True)
    until = now_us() + 10 * DAY_US
    classed(data, "mifid", until, until)
    push(vittne, configured(bucket_table(bucket)))
    (key,) = [key for key in s3.keys(bucket) if key.endswith("part-0.floe")]
    assert "ObjectLockMode" not in head(s3, bucket, key)

    assert push(vittne, configured(bucket_table(bucket, "compliance"))) == (0, [])

    assert head(s3, bucket, key)["ObjectLockMode"] == "COMPLIANCE"


def test_what_a_cut_left_under_a_lock_is_listed_and_a_hold_still_reaches_the_copy(
    vittne: Vittne, data: Path, configured: Configured, bucket_table: Table, s3: Store
) -> None:
    bucket = s3.bucket(locks=True)
    config = configured(bucket_table(bucket, "compliance"))
    until = now_us() + 10 * DAY_US
    classed(data, "mifid", until, until)
    push(vittne, config)
    classed(data, "mifid", now_us() - 1, until)
    cut_span(data, 1200, 1400)

    assert push(vittne, config) == (0, [])
    (copy,) = json.loads(vittne("storage", "status", "--id", REC, "--config", config, "--json")[1])
    assert (copy["state"], "wait for their lock until" in copy["problem"]) == ("stored", True)

    vittne("hold", "place", "--label", "case", "--reason", "court", "--id", REC, "--data", data)
    assert push(vittne, config) == (0, [])
    (key,) = [key for key in s3.keys(bucket) if key.endswith("manifest.json")]
    assert head(s3, bucket, key)["ObjectLockLegalHoldStatus"] == "ON"


def test_a_bucket_that_promises_a_lock_and_has_none_gets_nothing(
    vittne: Vittne, configured: Configured, bucket_table: Table, s3: Store
) -> None:
    bucket = s3.bucket(locks=False)
    config = configured(bucket_table(bucket, "compliance"))

    status, (problem,) = push(vittne, config)

    assert (status, s3.keys(bucket)) == (1, [])
    assert "promises Object Lock and the bucket has none" in problem
    assert vittne("storage", "check", "--config", config)[0] == 1


def test_an_erased_recording_leaves_the_bucket_at_once_and_its_manifest_and_certificate_stay(
    vittne: Vittne, data: Path, configured: Configured, bucket_table: Table, s3: Store
) -> None:
    bucket = s3.bucket()
    config = configured(bucket_table(bucket))
    push(vittne, config)
    vittne("erase", REC, "--reason", "asked", "--data", data)

    assert push(vittne, config) == (0, [])

    left = sorted(key.rpartition("/")[2] for key in s3.keys(bucket) if REC in key)
    assert left == ["certificate.json", "certificate.sig", "manifest.json", "manifest.sig"]


def test_an_erased_recording_under_a_lock_waits_for_its_end_and_no_key_opens_it(
    vittne: Vittne, data: Path, configured: Configured, bucket_table: Table, s3: Store
) -> None:
    bucket = s3.bucket(locks=True)
    config = configured(bucket_table(bucket, "compliance"))
    until = now_us() + 10 * DAY_US
    classed(data, "mifid", until, until)
    push(vittne, config)
    classed(data, "mifid", now_us() - 1, now_us() - 1)  # the lock here ended, as a shorter class would have it

    assert vittne("erase", REC, "--reason", "asked", "--data", data)[0] == 0
    assert push(vittne, config) == (0, [])

    ((target,), status) = (json.loads(vittne("storage", "status", "--config", config, "--json")[1]), REC)
    ((waiting),) = target["waiting_for_lock"]
    assert waiting["recording"] == status
    ends = datetime.fromisoformat(waiting["until"]).astimezone(UTC).timestamp()
    assert abs(ends - until / 1e6) < 1.1
    (part,) = [key for key in s3.keys(bucket) if key.endswith("part-0.floe")]
    version = head(s3, bucket, part)["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.client.delete_object(Bucket=bucket, Key=part, VersionId=version)


def test_every_version_of_an_erased_recording_goes(
    vittne: Vittne, data: Path, configured: Configured, bucket_table: Table, s3: Store
) -> None:
    bucket = s3.bucket(locks=True)
    config = configured(bucket_table(bucket, "governance"))
    push(vittne, config)
    (key,) = [key for key in s3.keys(bucket) if key.endswith("part-0.floe")]
    s3.client.put_object(Bucket=bucket, Key=key, Body=b"another version")
    vittne("erase", REC, "--reason", "asked", "--data", data)

    assert push(vittne, config) == (0, [])

    found = s3.client.list_object_versions(Bucket=bucket)
    rows = [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
    assert [row["Key"] for row in rows if "part-" in row["Key"]] == []


def test_wrong_credentials_are_told_and_never_shown(
    vittne: Vittne, data: Path, configured: Configured, bucket_table: Table, s3: Store
) -> None:
    bucket = s3.bucket()
    config = configured(bucket_table(bucket, secret="not-the-secret-at-all"))

    status, (problem,) = push(vittne, config)

    assert (status, s3.keys(bucket)) == (1, [])
    assert "SignatureDoesNotMatch" in problem
    assert "not-the-secret-at-all" not in problem


def test_an_access_key_that_everybody_can_read_is_refused(
    vittne: Vittne, configured: Configured, bucket_table: Table, s3: Store, tmp_path: Path
) -> None:
    config = configured(bucket_table(s3.bucket()))
    (tmp_path / "s3.credentials").chmod(0o644)

    status, (problem,) = push(vittne, config)

    assert (status, "lets others in" in problem) == (1, True)


def test_nothing_of_the_environment_says_where_to_connect(
    vittne: Vittne, configured: Configured, bucket_table: Table, s3: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nonexistent")

    assert push(vittne, configured(bucket_table(s3.bucket()))) == (0, [])
