"""vCons: what is told of a call and what is not, in all three forms; and those of others, checked."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cuts import REC, cut_span, three_parts
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey
from recordings import Recorded, record
from scenarios import basic, digits

from vittne.appliance.__main__ import run
from vittne.appliance.seal.signing import load_key, new_key
from vittne.appliance.store.audit import AuditSearch, AuditTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import CallRow
from vittne.appliance.vcon.build import build
from vittne.appliance.vcon.forms import signed
from vittne.appliance.vcon.reading import BadVcon, read_vcon, without_digits

Json = dict[str, Any]
Export = Callable[..., Path]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record(basic.basic_call(), tmp_path_factory.mktemp("vcon"))


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Write the vCon of a call with some options; return its file."""

    def write(data: Path, rec: str, *more: object) -> Path:
        target = tmp_path / "call.vcon"
        options = ["--data", data, "--format", "vcon", "-o", target, "--force", *more]
        assert run(["export", rec, *map(str, options)]) == 0
        return target

    return write


def unsigned(path: Path) -> Json:
    value: Json = json.loads(path.read_bytes())
    return dict(json.loads(decoded(value["payload"]))) if "payload" in value else value


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def recipient(kind: str, where: Path) -> tuple[Path, Path]:
    key: Any = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "Insurer")])
    now, day = datetime.now(UTC), timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day).sign(key, hashes.SHA256())
    (where / "to.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (where / "to.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return where / "to.pem", where / "to.key"


def test_a_call_is_told_as_the_draft_has_it(plain: Recorded, export: Export) -> None:
    vcon = unsigned(export(plain.data, plain.call.id, "--unsigned", "--with-audio"))

    assert vcon["vcon"] == "0.4.0"
    assert UUID(vcon["uuid"]).version == 8
    assert vcon["parties"][:2] == [{"sip": "sip:1001@example.net", "name": "Alice"}, {"sip": "sip:1002@example.net"}]
    (dialog,) = vcon["dialog"]
    assert (dialog["type"], dialog["parties"], dialog["mediatype"]) == ("recording", [[0], [1]], "audio/x-wav")
    assert dialog["start"] == "2026-01-01T00:00:00.500000Z"
    assert dialog["duration"] == pytest.approx(3.05, abs=0.01)
    assert [(one["party"], one["event"]) for one in dialog["party_history"]] == [
        (0, "join"),
        (1, "join"),
        (0, "drop"),
        (1, "drop"),
    ]


def test_the_sound_in_it_is_what_export_writes_and_its_hashes_are_right(
    plain: Recorded, export: Export, tmp_path: Path
) -> None:
    more = ["--early-media", "--format", "wav", "-o", str(tmp_path / "call.wav")]
    assert run(["export", plain.call.id, "--data", str(plain.data), *more]) == 0
    sound = (tmp_path / "call.wav").read_bytes()

    (dialog,) = unsigned(export(plain.data, plain.call.id, "--with-audio"))["dialog"]

    assert decoded(dialog["body"]) == sound
    sha512 = base64.urlsafe_b64encode(hashlib.sha512(sound).digest()).decode().rstrip("=")
    assert dialog["content_hash"][0] == f"sha512-{sha512}"

    (elsewhere,) = unsigned(export(plain.data, plain.call.id, "--audio-url", "https://a.example/call.wav"))["dialog"]
    assert elsewhere["url"] == "https://a.example/call.wav"
    assert elsewhere["content_hash"] == dialog["content_hash"]
    assert "body" not in elsewhere


def test_one_party_alone_names_the_other_as_originator(plain: Recorded, export: Export) -> None:
    (dialog,) = unsigned(export(plain.data, plain.call.id, "--with-audio", "--party", "callee"))["dialog"]

    assert (dialog["parties"], dialog["originator"]) == ([1], 0)


def test_it_is_signed_with_the_ledgers_key(plain: Recorded, export: Export) -> None:
    path = export(plain.data, plain.call.id)
    value = json.loads(path.read_bytes())
    key = load_key(plain.data / "keys")

    registry = jws.JWSRegistry(algorithms=["EdDSA"], strict_check_header=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jws.deserialize_json(value, OKPKey.import_key(key.verifier.pem()), registry=registry)

    (signature,) = value["signatures"]
    assert signature["header"]["uuid"] == unsigned(path)["uuid"]
    certificate = x509.load_der_x509_certificate(base64.b64decode(signature["header"]["x5c"][0]))
    assert certificate.public_key().public_bytes_raw() == key.verifier.public  # type: ignore[union-attr]
    found = read_vcon(path)
    assert (found.form, found.wrong) == ("signed", [])
    assert found.signer_key == key.verifier.public


def test_a_p256_key_of_the_fips_profile_signs_with_es256() -> None:
    key = new_key(fips=True)

    made = signed({"uuid": "1"}, key)

    value = json.loads(made)
    registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
    jws.deserialize_json(value, ECKey.import_key(key.verifier.pem()), registry=registry)
    assert json.loads(signed({"uuid": "1"}, key))["signatures"][0]["header"] == value["signatures"][0]["header"]


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_the_recipient_alone_opens_it(plain: Recorded, export: Export, tmp_path: Path, kind: str) -> None:
    certificate, key = recipient(kind, tmp_path)

    path = export(plain.data, plain.call.id, "--with-audio", "--to", certificate)

    assert b"1001@example.net" not in path.read_bytes()
    found = read_vcon(path, key)
    assert (found.form, found.wrong) == ("encrypted", [])
    assert found.vcon["parties"][0]["name"] == "Alice"
    with pytest.raises(BadVcon, match="give the recipient's private key"):
        read_vcon(path)
    (tmp_path / "other").mkdir()
    with pytest.raises(BadVcon, match="does not open it"):
        read_vcon(path, recipient(kind, tmp_path / "other")[1])


def everything(value: Any) -> list[tuple[str, Any]]:
    """Every member anywhere in a JSON value."""
    if isinstance(value, dict):
        return [*value.items(), *(pair for one in value.values() for pair in everything(one))]
    return [pair for one in value for pair in everything(one)] if isinstance(value, list) else []


def test_no_digit_that_was_keyed_is_in_it(export: Export, tmp_path: Path) -> None:
    found = record(digits.telephone_events("4929123456781#"), tmp_path)

    vcon = unsigned(export(found.data, found.call.id, "--unsigned"))

    told = everything(vcon)
    assert all(name != "button" for name, _ in told)
    assert {value for name, value in told if name == "event"} == {"join", "drop"}
    assert "4929123456781" not in json.dumps(vcon)
    assert "keyed" not in json.dumps(vcon)


def test_pauses_are_told_without_what_somebody_wrote(export: Export, tmp_path: Path) -> None:
    found = record(digits.telephone_events("1234567#"), tmp_path)

    vcon = unsigned(export(found.data, found.call.id))

    (body,) = next(one["body"] for one in vcon["attachments"] if one["purpose"] == "vittne-pauses")
    assert (body["effective_from"], body["packets"]) == ("2025-12-31T23:59:59.510000Z", 536)
    assert not body.keys() & {"reason", "external_id", "by"}


def test_cuts_are_told(export: Export, tmp_path: Path) -> None:
    three_parts(tmp_path / "data")
    cut_span(tmp_path / "data", 1200, 1600)

    vcon = unsigned(export(tmp_path / "data", REC, "--with-audio"))

    bodies = {one["purpose"]: one["body"] for one in vcon["attachments"]}
    assert bodies["vittne-cuts"][0]["milliseconds"] == 400
    assert "reason" not in bodies["vittne-cuts"][0]
    assert bodies["vittne-proof"]["recording"] == REC
    assert vcon["dialog"][0]["duration"] == pytest.approx(3.0, abs=0.01)


def call(**more: Any) -> CallRow:
    return CallRow(REC, "finished", (), "sip:a@b", "tel:+4512345678;postd=pp22", 1, **more)


def test_a_lawful_basis_is_told_as_its_draft_has_it() -> None:
    basis = {
        "lawful_basis": "consent",
        "expiration": None,
        "purpose_grants": [{"purpose": "recording", "granted": True}],
    }
    row = CallRow(REC, "finished", (), "sip:a@b", "sip:c@d", 1, 2, 3, details={"lawful_basis": {**basis, "typed": "x"}})

    vcon = build(row, None, {}, 1, "vittne/1")

    (attachment,) = [one for one in vcon["attachments"] if one["purpose"] == "lawful_basis"]
    assert (attachment["purpose"], attachment["body"]) == ("lawful_basis", basis)
    assert vcon["extensions"] == ["lawful_basis"]


@pytest.mark.parametrize(
    ("status", "disposition"), [(486, "busy"), (480, "no-answer"), (503, "congestion"), (404, "failed")]
)
def test_a_call_that_nobody_answered_is_incomplete(status: int, disposition: str) -> None:
    row = CallRow(
        REC, "finished", (), "sip:a@b", "tel:+4512345678;postd=pp22", 1, details={"dialogs": [{"status": status}]}
    )

    vcon = build(row, None, {}, 1, "vittne/1")

    (dialog,) = vcon["dialog"]
    assert (dialog["type"], dialog["disposition"]) == ("incomplete", disposition)
    assert vcon["parties"][1] == {"tel": "tel:+4512345678"}


def test_who_exported_it_is_in_the_audit_trail(plain: Recorded, export: Export) -> None:
    export(plain.data, plain.call.id)

    with Catalogue(plain.data / "catalogue.db", read_only=True) as catalogue:
        row = list(AuditTable(catalogue).search(AuditSearch(recording=plain.call.id)))[-1]
    assert (row.kind, row.details["format"]) == ("export", "vcon")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--audio-url", "http://a.example/x"], "begins https://"),
        (["--unsigned", "--to", "x.pem"], "signed first"),
    ],
)
def test_what_cannot_be_is_refused(
    plain: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    command = ["export", plain.call.id, "--data", str(plain.data), "--format", "vcon", "-o", str(tmp_path / "x"), *more]

    assert run(command) != 0
    assert words in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


# vCons of others


def foreign(vcon: Json, packed: bool = False) -> Json:
    """A vCon as another program signs it: RS256, the certificate in the protected header too."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "pbx.example")])
    now, day = datetime.now(UTC), timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day).sign(key, hashes.SHA256())
    chain = [base64.b64encode(made.public_bytes(Encoding.DER)).decode()]
    text = json.dumps(vcon).encode()
    registry = jws.JWSRegistry(algorithms=["RS256"], strict_check_header=False)
    registry.max_header_length = 1 << 16
    members: Any = [{"protected": {"alg": "RS256", "x5c": chain}, "header": {"x5c": chain, "uuid": vcon["uuid"]}}]
    return dict(
        jws.serialize_json(members, gzip.compress(text) if packed else text, RSAKey.import_key(key), registry=registry)
    )


FOREIGN: Json = {
    "uuid": "019f15a6-a752-826f-b9a2-279e0d16bc46",
    "created_at": "2026-06-29T23:03:01Z",
    "parties": [{"tel": "+12345678901", "name": "Alice"}, {"tel": "+19876543210"}],
    "dialog": [
        {
            "type": "recording",
            "start": "2022-06-21T17:53:26Z",
            "parties": [0, 1],
            "mediatype": "audio/x-wav",
            "body": "UklGRg",
            "encoding": "base64url",
            "content_hash": "sha512-" + base64.urlsafe_b64encode(hashlib.sha512(b"RIFF").digest()).decode().rstrip("="),
            "party_history": [
                {"party": 0, "time": "2022-06-21T17:53:27Z", "event": "keydown", "button": "4"},
                {"party": 0, "time": "2022-06-21T17:53:28Z", "event": "keyup", "button": "4"},
                {"party": 1, "time": "2022-06-21T17:53:29Z", "event": "hold"},
            ],
        }
    ],
}


@pytest.mark.parametrize("packed", [False, True])
def test_anothers_signed_vcon_is_checked_and_its_digits_are_left_out(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "foreign.vcon"
    path.write_text(json.dumps(foreign(FOREIGN, packed)))

    found = read_vcon(path)

    assert (found.form, found.wrong, found.digits) == ("signed", [], 2)
    assert found.signer == "CN=pbx.example"
    assert found.good == ["signed by the key of CN=pbx.example", "dialog 0: 4 bytes, as their hash says"]
    assert [one["event"] for one in found.vcon["dialog"][0]["party_history"]] == ["hold"]


def altered(change: Callable[[Json], object]) -> Callable[[Json], None]:
    def apply(value: Json) -> None:
        inner = json.loads(decoded(value["payload"]))
        change(inner)
        value["payload"] = base64.urlsafe_b64encode(json.dumps(inner).encode()).decode().rstrip("=")

    return apply


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (altered(lambda inner: inner["parties"].pop()), "was altered"),
        (lambda value: value["signatures"][0].update(signature="AAAA"), "was altered"),
        (altered(lambda inner: inner.update(uuid="0")), "the uuids differ"),
        (altered(lambda inner: inner["dialog"][0].update(body="UklGSg")), "is not what its hash says"),
    ],
)
def test_a_change_in_anothers_vcon_is_noticed(tmp_path: Path, change: Callable[[Json], object], words: str) -> None:
    value = foreign(FOREIGN)
    change(value)
    path = tmp_path / "foreign.vcon"
    path.write_text(json.dumps(value))

    assert any(words in one for one in read_vcon(path).wrong)


def test_the_command_shows_it_without_digits_and_says_whose_it_is_not(
    plain: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "foreign.vcon"
    path.write_text(json.dumps(foreign(FOREIGN)))

    status = run(["vcon", "check", str(path), "--data", str(plain.data)])

    said = capsys.readouterr().out
    assert status == 0
    assert "2 events say which keys were pressed: they are not shown" in said
    assert "party 0: +12345678901 Alice" in said
    status = run(["vcon", "check", str(path), "--json", "--data", str(plain.data)])
    assert "keydown" not in capsys.readouterr().out


def test_the_command_fails_for_an_altered_one_and_knows_our_own(
    plain: Recorded, export: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    path = export(plain.data, plain.call.id)

    assert run(["vcon", "check", str(path), "--data", str(plain.data)]) == 0
    assert "that is the key of this recorder's ledger" in capsys.readouterr().out
    value = json.loads(path.read_bytes())
    altered(lambda inner: inner["parties"].pop())(value)
    path.write_text(json.dumps(value))
    assert run(["vcon", "check", str(path), "--data", str(plain.data)]) == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "parties",
                    "dialog",
                    "payload",
                    "signatures",
                    "header",
                    "x5c",
                    "body",
                    "encoding",
                    "content_hash",
                    "event",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(value=values)
def test_anything_else_is_read_or_refused_never_more(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.mktemp("any") / "x"
    path.write_text(json.dumps(value))

    try:
        found = read_vcon(path)
    except BadVcon:
        return
    assert found.vcon.keys() & {"parties", "dialog", "analysis", "attachments"}


@pytest.mark.parametrize(
    "text",
    [
        '{"parties": ' + '{"a": ' * 500 + "1" + "}" * 501,
        '{"parties": ' + "[" * 900 + "]" * 900 + "}",
        '{"payload": "%%%", "signatures": []}',
        '{"payload": "eyJwYXJ0aWVzIjpbXX0", "signatures": [{"header": 5}]}',
        '{"payload": "eyJwYXJ0aWVzIjpbXX0", "signatures": [{"header": {"x5c": ["MAA="]}, "protected": "e30"}]}',
        '{"dialog": [{"encoding": "base64url", "body": "aaaa", "content_hash": "sha512-%%%"}]}',
        '{"dialog": [{"encoding": "base64url", "body": "\\u00e9"}]}',
    ],
)
def test_what_is_made_to_hurt_a_reader_is_read_or_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)

    with suppress(BadVcon):
        assert not read_vcon(tmp_path / "x").good


def test_digits_are_found_wherever_they_hide() -> None:
    hidden = {"dialog": [{"party_history": [{"event": "KeyDown"}, {"event": "hold"}]}], "x": [{"y": [{"button": "1"}]}]}

    assert without_digits(hidden) == ({"dialog": [{"party_history": [{"event": "hold"}]}], "x": [{"y": []}]}, 2)
