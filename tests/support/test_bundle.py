"""A support bundle of a call in which everything that may not leave is everywhere: nothing of it is in the bundle."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from builders import Endpoint, Scenario
from recordings import Recorded, record

from vittne.appliance.store.audit import AuditSearch, AuditTable
from vittne.appliance.store.catalogue import Catalogue

Vittne = Callable[..., tuple[int, str, str]]

CALLER, CALLEE, THIRD = "+46701234567", "0855512345", "7312994"
NAME, SURNAME, SUBJECT = "Ragnhild", "Qvarnström", "Fakturatvist"
CARD, PIN, ORDER, TOKEN = "4111111111111111", "90210077", "AB-778812-X", "tok_zQ81kkPPwq7"
SDES, NONCE, PASSWORD, PLACE = "WnD7c1ksDGsIefCEo8omPg4uO8DYIin", "dcd98b7102dd2f0e8b11", "hemligt-losen", "Storgatan"
HOST, MAC, CALL_ID = "pbx.qvarnby.example", "001565aabbcc", "8f3c-unik-samtal@kund.example"
ADDRESSES = ("192.0.2.17", "198.51.100.23")
# Whole, and each as what it is: case does not matter.
SECRETS = (CALLER, CALLER[1:], CALLEE, CALLEE[1:], THIRD, NAME, SURNAME, SUBJECT, CARD, PIN, ORDER, TOKEN, SDES, NONCE,
           PASSWORD, PLACE, "qvarnby", MAC, CALL_ID, "kund.example", *ADDRESSES)  # fmt: skip


def telling_call() -> Scenario:
    scenario = Scenario("telling")
    alice = Endpoint(f"{NAME} {SURNAME}", ADDRESSES[0], CALLER)
    bob = Endpoint(SURNAME, ADDRESSES[1], CALLEE, 50_000)
    dialog = scenario.dialog(alice, bob, call_id=CALL_ID)
    dialog.headers += [
        ("User-Agent", f"Yealink T46 {MAC} {NAME}"),
        ("Subject", f"{SUBJECT} {ORDER}"),
        ("P-Asserted-Identity", f'"{NAME} {SURNAME}" <sip:{THIRD}@{HOST}>, <tel:{CALLER}>'),
        ("Diversion", f'"{SURNAME}" <sip:{THIRD}@{HOST}>;reason=unconditional'),
        ("History-Info", f"<sip:{THIRD}@{HOST}?Reason=SIP%3Btext%3D%22{NAME}%22>;index=1"),
        ("Remote-Party-ID", f'"{NAME}" <sip:{THIRD}@{HOST}>;party=calling'),
        ("Geolocation", f"<https://{HOST}/{PLACE}?{TOKEN}>"),
        ("Call-Info", f"<https://{HOST}/{NAME}.jpg>;purpose=icon"),
        ("X-Customer-" + ORDER, f"{CARD};{TOKEN}"),
        ("Authorization", f'Digest username="{CALLEE}", nonce="{NONCE}", response="{PASSWORD}"'),
        ("WWW-Authenticate", f'Digest realm="{HOST}", nonce="{NONCE}"'),
        ("Reason", f'Q.850;cause=16;text="{NAME} la på"'),
        ("Warning", f'399 {HOST} "{SUBJECT}"'),
    ]
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 3.0)
    text = f"{NAME} {CARD} {PLACE}".encode()
    dialog.exchange(2.0, "MESSAGE", body=text, content_type="text/plain")
    dialog.exchange(
        2.2, "INFO", body=f"Signal={PIN}\r\nDuration=160\r\n".encode(), content_type="application/dtmf-relay"
    )
    xml = f"<presence><tel>{CALLER}</tel><note>{PLACE}</note></presence>".encode()
    dialog.exchange(2.4, "NOTIFY", body=xml, content_type="application/pidf+xml", headers=[("Event", NAME)])
    offer = (
        f"v=0\r\no={NAME} 1 1 IN IP4 {alice.ip}\r\ns={SUBJECT}\r\ni={PLACE}\r\ne={NAME}@{HOST}\r\np={CALLER}\r\n"
        f"c=IN IP4 {alice.ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
        f"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{SDES}\r\n"
        f"a=ice-pwd:{PASSWORD}\r\na=x-kund:{ORDER}\r\na=sendrecv\r\n"
    ).encode()
    answer = (
        f"v=0\r\no=- 1 1 IN IP4 {bob.ip}\r\ns=-\r\nc=IN IP4 {bob.ip}\r\nt=0 0\r\nm=audio 50000 RTP/AVP 0\r\n".encode()
    )
    dialog.exchange(2.6, "INVITE", body=offer, answer=answer)
    dialog.bye(answered + 3.2)
    return scenario


CONFIG = f"""
interfaces = ["eth1"]
hold_back_s = 4
[site]
name = "{PLACE}"
own_numbers = ["{CALLER}"]
[access]
host = "{HOST}"
[backup]
target = "/srv/{SURNAME}"
[api]
metrics_from = ["{ADDRESSES[0]}/32"]
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record(telling_call(), tmp_path_factory.mktemp("telling"))


def unpacked(file: Path, to: Path) -> dict[str, bytes]:
    with tarfile.open(file) as tar:
        tar.extractall(to, filter="data")
    return {path.name: path.read_bytes() for path in to.rglob("*") if path.is_file()}


def forms(secret: str) -> Iterator[bytes]:
    """A text as it may be written: in UTF-8, UTF-16, hex, base64 at any place, percent signs, JSON, backwards."""
    raw = secret.encode()
    yield raw
    yield secret.encode("utf-16-le")
    yield raw.hex().encode()
    for shift in range(3):
        coded = base64.b64encode(bytes(shift) + raw)
        yield coded[4 if shift else 0 : -4]
    yield "".join(f"%{one:02x}" for one in raw).encode()
    yield json.dumps(secret)[1:-1].encode()
    yield raw[::-1]


def test_nothing_that_may_not_leave_is_in_the_bundle(told: Recorded, vittne: Vittne, tmp_path: Path) -> None:
    config, file = tmp_path / "vittne.toml", tmp_path / "bundle.tar.gz"
    config.write_text(CONFIG)
    options = ("--data", told.data, "--config", config)

    status, _, said = vittne("support-bundle", *options, "--call", told.call.id[:8], "-o", file)

    assert status == 0, said
    found = unpacked(file, tmp_path / "open")
    names = {"CONTENTS.txt", "versions.json", "settings.json", "runs.json", "call.json", "ladder.txt", "call.pcap"}
    assert names <= found.keys()
    whole = b"\n".join([gzip.decompress(file.read_bytes()), said.encode(), *found.values()]).lower()
    for secret in SECRETS:
        for form in forms(secret):
            assert form.lower() not in whole, (secret, form)
    assert json.loads(found["settings.json"])["hold_back_s"] == 4
    assert json.loads(found["settings.json"])["interfaces"] == ["eth1"]


def test_what_helps_is_still_there(told: Recorded, vittne: Vittne, tmp_path: Path) -> None:
    file = tmp_path / "bundle.tar.gz"
    vittne("support-bundle", "--data", told.data, "--call", told.call.id, "-o", file)
    found = {name: text.decode("utf-8", "replace") for name, text in unpacked(file, tmp_path / "open").items()}

    assert told.call.id in found["call.json"]
    for word in ("INVITE", "180 Ringing", "200 OK", "BYE", "MESSAGE", "PCMU telephone-event"):
        assert word in found["ladder.txt"]
    for line in found["CONTENTS.txt"].splitlines():
        assert len(line) < 140
    for name in found.keys() - {"CONTENTS.txt"}:
        assert name in found["CONTENTS.txt"]
    caller = json.loads(found["call.json"])["caller"]
    assert caller.split("@")[0].removeprefix("sip:") in found["call.pcap"]  # the same in every file of it


def test_another_bundle_has_other_replacements_and_a_kept_table_translates_them(
    told: Recorded, vittne: Vittne, tmp_path: Path
) -> None:
    tables = []
    for number in "12":
        kept = tmp_path / f"names{number}.json"
        out = tmp_path / f"{number}.tar.gz"
        vittne("support-bundle", "--data", told.data, "--call", told.call.id, "-o", out, "--keep-names", kept)
        assert kept.stat().st_mode & 0o777 == 0o600
        tables.append(json.loads(kept.read_text()))

    assert CALLER in tables[0].values()
    assert not tables[0].keys() & tables[1].keys()


def test_the_kept_table_takes_no_place_of_the_bundle_or_of_another_file(
    told: Recorded, vittne: Vittne, tmp_path: Path
) -> None:
    out, kept = tmp_path / "bundle.tar.gz", tmp_path / "names.json"
    kept.write_text("of another bundle")
    for table, words in ((out, "are one file"), (kept, "already a file")):
        status, _, said = vittne("support-bundle", "--data", told.data, "-o", out, "--keep-names", table)
        assert status == 1, said
        assert words in said
        assert not out.exists()
    assert kept.read_text() == "of another bundle"


def test_it_is_entered_in_the_trail_before_it_is_made(told: Recorded, vittne: Vittne, tmp_path: Path) -> None:
    vittne("support-bundle", "--data", told.data, "--call", told.call.id, "-o", tmp_path / "bundle.tar.gz")

    with Catalogue(told.data / "catalogue.db", read_only=True) as catalogue:
        rows = list(AuditTable(catalogue).search(AuditSearch(kinds=("support", "export"), recording=told.call.id)))
    assert {row.kind for row in rows} == {"support", "export"}


def test_wireshark_reads_the_packets_and_finds_no_fault_in_them(told: Recorded, vittne: Vittne, tmp_path: Path) -> None:
    assert shutil.which("tshark"), "tshark is missing: `make tools` installs it"
    file = tmp_path / "bundle.tar.gz"
    vittne("support-bundle", "--data", told.data, "--call", told.call.id, "-o", file)
    unpacked(file, tmp_path / "open")
    pcap = str(next((tmp_path / "open").rglob("call.pcap")))

    def tshark(*options: str) -> list[str]:
        command = [
            "tshark",
            "-n",
            "-r",
            pcap,
            "-o",
            "udp.check_checksum:TRUE",
            "-o",
            "ip.check_checksum:TRUE",
            *options,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    assert tshark("-Y", "sip.Method", "-T", "fields", "-e", "sip.Method")[:1] == ["INVITE"]
    assert {"INVITE", "ACK", "INFO", "MESSAGE", "NOTIFY", "BYE"} <= set(
        tshark("-Y", "sip.Method", "-T", "fields", "-e", "sip.Method")
    )
    assert tshark("-Y", "udp.checksum.status == 0 || ip.checksum.status == 0 || _ws.malformed") == []
    streams = [line for line in tshark("-q", "-z", "rtp,streams") if "g711U" in line]
    assert len(streams) == 2
    assert {one.replace("0", "") for one in tshark("-Y", "rtp", "-T", "fields", "-e", "rtp.payload")} == {""}
