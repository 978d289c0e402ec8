"""IP addresses as keys."""

from __future__ import annotations

import ipaddress
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vittne.capture.addresses import AddressBook
from vittne.capture.columns import U8


def rows(*addresses: str) -> U8:
    return np.frombuffer(b"".join(ipaddress.IPv6Address(text).packed for text in addresses), np.uint8).reshape(-1, 16)


def test_an_ipv4_address_is_its_number() -> None:
    book = AddressBook()

    assert book.key("192.0.2.1") == 0xC0000201
    assert book.text(0xC0000201) == "192.0.2.1"


def test_an_ipv6_address_has_one_key_in_columns_and_text() -> None:
    book = AddressBook()

    keys = book.learn_v6(rows("2001:db8::1", "2001:db8::2", "2001:db8::1"))

    assert keys.dtype == np.uint64
    assert keys[0] == keys[2] != keys[1]
    assert book.key("2001:0DB8:0:0::1") == int(keys[0]) >= 1 << 63
    assert book.text(int(keys[1])) == "2001:db8::2"


def test_an_ipv4_address_in_ipv6_clothes_has_the_key_of_the_ipv4_address() -> None:
    book = AddressBook()

    keys = book.learn_v6(rows("::ffff:192.0.2.1", "2001:db8::1"))

    assert int(keys[0]) == 0xC0000201 == book.key("::ffff:192.0.2.1")


@pytest.mark.parametrize("text", ["", "example.com", "1.2.3", "1.2.3.4.5", "::1::", "-", "010.1.1.1", "1.2.3.4/24"])
def test_what_is_no_address_has_no_key(text: str) -> None:
    assert AddressBook().key(text) is None


@pytest.mark.parametrize("text", ["[2001:db8::1]", " 2001:db8::1 "])
def test_brackets_and_blanks_do_not_matter(text: str) -> None:
    book = AddressBook()

    assert book.key(text) == book.key("2001:db8::1")


def test_keys_of_two_books_differ_and_a_pickled_book_keeps_them() -> None:
    book = AddressBook()
    key = book.key("2001:db8::1")
    assert key is not None

    copy = pickle.loads(pickle.dumps(book))

    assert copy.key("2001:db8::1") == key
    assert copy.text(key) == "2001:db8::1"
    assert AddressBook().key("2001:db8::1") != key


def test_memory_is_bounded_and_what_is_still_heard_is_kept() -> None:
    book = AddressBook(generation=100)
    kept = book.key("2001:db8::1")
    gone = book.key("2001:db8::2")
    assert kept is not None
    assert gone is not None

    for number in range(1_000):
        book.key(f"2001:db8:1::{number:x}")
        book.learn_v6(rows("2001:db8::1"))

    assert book.text(kept) == "2001:db8::1"
    assert book.text(gone) == f"ipv6-key-{gone:016x}"
    assert len(book._young) + len(book._old) <= 200


@given(st.lists(st.ip_addresses(v=6), min_size=1, max_size=50))
def test_every_address_is_told_by_its_key(addresses: list[ipaddress.IPv6Address]) -> None:
    book = AddressBook()

    keys = book.learn_v6(rows(*(str(address) for address in addresses)))

    for address, key in zip(addresses, keys.tolist(), strict=True):
        assert book.text(key) == str(address.ipv4_mapped or address)
        assert book.key(str(address)) == key
