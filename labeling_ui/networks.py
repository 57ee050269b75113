"""Where a proxy calls from, and what it says of people."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from alignment.errors import UserError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Proxy:
    """header: in small letters. trusted: where the proxy calls from. logout: where it logs people out, or None."""

    header: str
    trusted: tuple[Network, ...]
    logout: str | None = None

    def sent(self, client: tuple[str, int] | None) -> bool:
        """Whether the one at the other end of the connection is the proxy. `X-Forwarded-For` says nothing here: it is text
        that anybody can send."""
        try:
            address = ipaddress.ip_address(client[0] if client else "")
        except ValueError:
            return False
        plain = getattr(address, "ipv4_mapped", None) or address  # a socket of both families says ::ffff:10.0.0.2
        return any(plain in network for network in self.trusted)


def networks(text: str) -> tuple[Network, ...]:
    """`10.0.0.2, 10.1.0.0/16` → networks. UserError where one is none, or is everybody."""
    try:
        found = tuple(ipaddress.ip_network(one.strip()) for one in text.split(","))
    except ValueError as error:
        raise UserError(f"--trust is {text!r}: {error}; it must be addresses such as 10.0.0.2,10.1.0.0/16") from None
    if any(one.prefixlen == 0 for one in found):
        raise UserError(f"--trust is {text!r}, which trusts everybody; give the address of the proxy alone")
    return found
