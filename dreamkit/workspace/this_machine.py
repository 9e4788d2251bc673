"""Whether an address is of this machine: such requests never go through a proxy."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_this_machine(host: str) -> bool:
    """Whether a host name means the machine itself.

    >>> is_this_machine("127.0.0.1"), is_this_machine("127.0.0.1.example.org")
    (True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def uses_proxy(url: str) -> bool:
    """Whether requests to a URL go through the environment's proxies: not to this machine.

    It is the `trust_env` argument of httpx.
    """
    try:
        return not is_this_machine(urlsplit(url).hostname or "")
    except ValueError:
        return True
