"""Tokens of a real authority: what is accepted, what is refused, and by whom."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.authority import OTHER_POLICY, POLICY, Authority

from vittne.appliance.stamps.asking import ask_about, read_question
from vittne.appliance.stamps.checking import LIBRARY, OPENSSL, check_token, load_trust, signing_chain
from vittne.appliance.stamps.token import ANSWER_LIMIT, BadToken, Refused, read_answer
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339

NOTE = b"vittne/0011223344556677\n42\nAAAA\n\n\xe2\x80\x94 vittne/0011223344556677 BBBB\n"


@pytest.fixture(scope="session")
def answer(tsa: Authority) -> bytes:
    return tsa.answer(ask_about(NOTE).der)


@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
def test_a_token_is_accepted_and_says_when(tsa: Authority, hash_name: str) -> None:
    question = ask_about(NOTE, hash_name)
    before_us = now_us()

    found = check_token(tsa.answer(question.der), NOTE, load_trust(tsa.ca_file), question.nonce)

    assert (found.verified_by, found.library_said) == (LIBRARY, "")
    assert found.token.hash == hash_name
    assert found.token.accuracy_us == 1_500_100
    assert found.token.policy == POLICY
    assert before_us - 1_000_000 <= found.token.gen_time_us <= now_us()


def test_a_token_with_unsorted_certificates_is_accepted_by_openssl(chained: Authority) -> None:
    question = ask_about(NOTE)

    found = check_token(chained.answer(question.der), NOTE, load_trust(chained.ca_file), question.nonce)

    assert found.verified_by == OPENSSL
    assert "InvalidSetOrdering" in found.library_said


@pytest.mark.parametrize("name", ["tsa", "chained"])
def test_the_chain_leads_from_the_signer_to_the_root(name: str, request: pytest.FixtureRequest) -> None:
    authority: Authority = request.getfixturevalue(name)
    token = read_answer(authority.answer(ask_about(NOTE).der))

    chain = signing_chain(token, load_trust(authority.ca_file))

    assert chain == [one.certificate for one in (authority.signer, authority.middle, authority.root)]


def test_a_question_reads_as_it_was_asked_and_as_openssl_reads_it(tmp_path: Path) -> None:
    question = ask_about(NOTE, "sha512", OTHER_POLICY)
    (tmp_path / "q.tsq").write_bytes(question.der)

    assert read_question(question.der) == question
    said = subprocess.run(
        ["openssl", "ts", "-query", "-in", tmp_path / "q.tsq", "-text"], capture_output=True, text=True, check=True
    ).stdout
    assert "Hash Algorithm: sha512" in said
    assert OTHER_POLICY in said
    assert f"Nonce: 0x{question.nonce:016X}" in said
    assert "Certificate required: yes" in said


def test_the_policy_that_was_asked_for_is_the_one_of_the_token(tsa: Authority) -> None:
    question = ask_about(NOTE, policy=OTHER_POLICY)
    answer = tsa.answer(question.der)

    assert check_token(answer, NOTE, load_trust(tsa.ca_file), policy=OTHER_POLICY).token.policy == OTHER_POLICY
    with pytest.raises(BadToken, match="under the policy"):
        check_token(answer, NOTE, load_trust(tsa.ca_file), policy=POLICY)


def test_a_token_over_something_else_is_refused(tsa: Authority, answer: bytes) -> None:
    with pytest.raises(BadToken, match="over something else"):
        check_token(answer, NOTE + b"x", load_trust(tsa.ca_file))


def test_a_token_for_another_request_is_refused(tsa: Authority, answer: bytes) -> None:
    with pytest.raises(BadToken, match="the nonce differs"):
        check_token(answer, NOTE, load_trust(tsa.ca_file), nonce=1)


def test_a_token_of_an_authority_that_is_not_believed_is_refused(chained: Authority, answer: bytes) -> None:
    with pytest.raises(BadToken, match=r"neither program accepts it.*local issuer"):
        check_token(answer, NOTE, load_trust(chained.ca_file))


def test_the_root_that_a_token_brings_along_is_not_believed(tmp_path: Path, tsa: Authority) -> None:
    forger = Authority(tmp_path, chained=True)
    (tmp_path / "chain.pem").write_bytes(forger.middle.pem + forger.root.pem)

    with pytest.raises(BadToken, match="neither program"):
        check_token(forger.answer(ask_about(NOTE).der), NOTE, load_trust(tsa.ca_file))


def test_an_altered_signature_is_refused(tsa: Authority, answer: bytes) -> None:
    with pytest.raises(BadToken, match="neither program"):
        check_token(answer[:-1] + bytes([answer[-1] ^ 1]), NOTE, load_trust(tsa.ca_file))


@pytest.mark.parametrize("is_chained", [False, True])
def test_a_certificate_that_has_run_out_since_does_no_harm(tmp_path: Path, is_chained: bool) -> None:
    begin, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    authority = Authority(tmp_path, is_chained, ca_begin=begin, begin=begin, end=end)

    answer = authority.answer(ask_about(NOTE).der, at="2020-06-07 08:09:10")

    found = check_token(answer, NOTE, load_trust(authority.ca_file))
    assert found.verified_by == (OPENSSL if is_chained else LIBRARY)
    assert rfc3339(found.token.gen_time_us)[:16] == "2020-06-07T08:09"  # its clock runs on


@pytest.mark.parametrize("is_chained", [False, True])
@pytest.mark.parametrize("at", ["", "2021-06-07 08:09:10"])
def test_a_certificate_that_was_not_good_at_the_time_of_the_stamp_is_refused(
    tmp_path: Path, is_chained: bool, at: str
) -> None:
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    end = datetime(2021, 1, 1, tzinfo=UTC)
    good: dict[str, Any] = {"begin": begin, "end": end} if at else {"begin": datetime.now(UTC) + timedelta(days=1)}
    authority = Authority(tmp_path, is_chained, ca_begin=begin, **good)

    with pytest.raises(BadToken, match="neither program"):
        check_token(authority.answer(ask_about(NOTE).der, at), NOTE, load_trust(authority.ca_file))


def test_an_authority_that_refuses_is_quoted(tmp_path: Path) -> None:
    authority = Authority(tmp_path, digests="sha512")

    with pytest.raises(Refused, match="gives no stamp: rejection, bad_alg"):
        read_answer(authority.answer(ask_about(NOTE).der))


@pytest.mark.parametrize("garbage", [b"", b"<html>hello</html>", b"0", bytes(64), b"0\x80", b"0\x03\x02\x01\x05"])
def test_garbage_is_no_token(garbage: bytes) -> None:
    with pytest.raises(BadToken):
        read_answer(garbage)


def test_an_answer_has_a_bound(answer: bytes) -> None:
    with pytest.raises(BadToken, match="longer than"):
        read_answer(answer + bytes(ANSWER_LIMIT))
    with pytest.raises(BadToken):
        read_answer(answer + b"\0")


@settings(max_examples=300, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.binary(min_size=1, max_size=3), cut=st.booleans())
def test_a_damaged_answer_is_read_or_refused_and_nothing_else(
    answer: bytes, place: float, value: bytes, cut: bool
) -> None:
    at = int(place * len(answer))
    damaged = answer[:at] if cut else answer[:at] + value + answer[at + len(value) :]

    try:
        token = read_answer(damaged)
    except BadToken:
        return
    assert token.gen_time_us > 0 or damaged != answer


def test_a_request_is_not_taken_for_an_answer(tsa: Authority) -> None:
    with pytest.raises(BadToken):
        read_answer(ask_about(NOTE).der)
    with pytest.raises(StoreError, match="no request"):
        read_question(tsa.answer(ask_about(NOTE).der))


def test_a_bare_answer_without_a_token_is_refused() -> None:
    with pytest.raises(BadToken, match="holds no token"):
        read_answer(bytes.fromhex("30053003020100"))  # PKIStatusInfo with status 0, granted


def test_a_file_without_certificates_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("hello")

    with pytest.raises(StoreError, match=r"no certificate in it.*ca\.pem"):
        load_trust(tmp_path / "ca.pem")
