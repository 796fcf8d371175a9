"""Networks of addresses: what one owner commands, and what moves together."""

import ipaddress
from functools import lru_cache

IPV6_BITS = 64
"""One owner has at least so much of IPv6."""


@lru_cache(maxsize=8192)
def network_of(address: str, ipv4_bits: int = 32) -> str:
    """The network of an address; the address itself where IPv4 is taken whole; what is none (a Unix socket) as it is."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    bits = ipv4_bits if isinstance(ip, ipaddress.IPv4Address) else IPV6_BITS
    return str(ip) if bits == ip.max_prefixlen else str(ipaddress.ip_network((ip, bits), strict=False))
