"""Where a webhook may go: what an address says, what its name has, and what is connected to in the end."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from vittne.appliance.webhooks.target import NotAllowed, RefusedAddress, check_url, is_allowed, is_own, socket_for

INSIDE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
]


@pytest.mark.parametrize("address", INSIDE)
def test_nothing_of_the_inside_is_reached(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pytest.raises(RefusedAddress):
        socket_for((family, socket.SOCK_STREAM, 0, "", (address, 443)), [])


@pytest.mark.parametrize("address", ["9.9.9.9", "2620:fe::fe", "64:ff9b::909:909"])
def test_the_internet_is(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address))


def test_what_is_configured_is_reached_and_nothing_beside_it() -> None:
    networks = [ipaddress.ip_network("10.1.0.0/16")]
    assert is_allowed(ipaddress.ip_address("10.1.2.3"), networks)
    assert is_allowed(ipaddress.ip_address("::ffff:10.1.2.3"), networks)
    assert not is_allowed(ipaddress.ip_address("10.2.0.1"), networks)


def test_this_machine_is_known_by_any_of_its_addresses() -> None:
    assert is_own(ipaddress.ip_address("127.0.0.1"))
    assert not is_own(ipaddress.ip_address("9.9.9.9"))
    assert not is_allowed(ipaddress.ip_address("9.9.9.9"), own=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://user:word@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/#part",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://exa mple.com/",
        "https://exämple.com/",
        "https://example.com/\r\nX: y",
        "https://example.com/" + "a" * 2000,
    ],
)
def test_what_no_webhook_may_go_to_is_refused_when_it_is_written(url: str) -> None:
    with pytest.raises(NotAllowed):
        check_url(url)


def test_an_address_that_may_be_one_is_kept_as_it_is() -> None:
    url = "https://hooks.example.com:8443/in?key=1"
    assert check_url(url) == url
    assert check_url("http://10.1.0.1/x", [ipaddress.ip_network("10.1.0.0/16")], plain_http=True)
