import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.catalog.photos.addresses import is_public


@pytest.mark.parametrize(
    "address",
    [
        "9.9.9.9",
        "93.184.216.34",
        "2620:fe::fe",
        "2a00:1450:4001::1",
        "64:ff9b::9.9.9.9",
        "2002:909:909::1",
        "::ffff:9.9.9.9",
    ],
)
def test_public_addresses_may_be_connected_to(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.9.9", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "100.127.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1", "203.0.113.7", "192.88.99.1"),
        *("224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1"),
        *("2002:7f00:1::1", "2002:a9fe:a9fe::", "2001:0:53aa:64c::", "2001:0:0:0:0:0:80ff:fffe"),
        *("2a00:1450::5efe:a00:1", "2a00:1450::9%eth0", "3fff::1", "5f00::1"),
        *("", "localhost", "2130706433", "127.1"),
    ],
)
def test_all_others_may_not(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_does_not_make_it_public(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    wrapped = [(0xFFFF << 32) | number, (0x64FF9B << 96) | number, (0x2002 << 112) | (number << 80) | 1]
    for one in wrapped:
        assert is_public(str(ipaddress.IPv6Address(one))) == is_public(str(address))
    teredo = (0x2001 << 112) | (0x5DB8D822 << 64) | (number ^ 0xFFFFFFFF)
    assert not is_public(str(ipaddress.IPv6Address(teredo)))


@given(st.ip_addresses())
def test_nothing_is_public_that_python_calls_local(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    local = address.is_loopback or address.is_multicast or address.is_link_local or address.is_unspecified
    assert not (is_public(str(address)) and local)
