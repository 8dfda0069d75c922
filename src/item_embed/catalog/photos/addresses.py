"""Which IP addresses a photo may be downloaded from: public ones.

A feed is written by others. Without this check a row could make the machine that prepares it ask services that trust
their own network: databases, routers, the metadata service of a cloud.
"""

import ipaddress

_V4_REFUSED = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by a provider's customers
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; clouds' metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_V6_GLOBAL = ipaddress.IPv6Network("2000::/3")  # all that has been given out; the rest is local, multicast or reserved
_V6_REFUSED = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocols' own, Teredo among them
        "2001:db8::/32",
        "3fff::/20",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an address is global unicast, also where it wraps an IPv4 address.

    Args:
        address: a resolved IPv4 or IPv6 address, with or without a zone (`%eth0`).

    Examples:
        >>> is_public("9.9.9.9"), is_public("::ffff:127.0.0.1"), is_public("169.254.169.254")
        (True, False, False)
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return _is_public_v4(parsed)
    inside = _wrapped(parsed)
    if inside is not None:
        return _is_public_v4(inside)
    if parsed.scope_id is not None or parsed.packed[8:12] in {b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe"}:  # ISATAP
        return False
    return parsed.is_global and parsed in _V6_GLOBAL and not any(parsed in network for network in _V6_REFUSED)


def _is_public_v4(address: ipaddress.IPv4Address) -> bool:
    # Both: what `is_global` says has changed between versions of Python.
    return address.is_global and not any(address in network for network in _V4_REFUSED)


def _wrapped(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that packets to an IPv6 address end at."""
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[12:])
    return address.ipv4_mapped or address.sixtofour
