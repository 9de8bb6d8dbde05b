"""Free TCP ports of this machine that are still free a moment later.

Ports come from below the range that systems hand to outgoing connections, so none of those takes a port between its
choice and its use, nor while a killed broker is down. Two processes may still choose the same: who starts a broker
tries again with others.
"""

from __future__ import annotations

import random
import socket

_LOWEST, _HIGHEST = 20_000, 32_000


def free_ports(count: int) -> list[int]:
    """Different ports on which nobody listens at 127.0.0.1. Raises `OSError` when there are not enough."""
    found: list[int] = []
    for port in random.sample(range(_LOWEST, _HIGHEST), 2_000):
        if is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} free ports between {_LOWEST} and {_HIGHEST}: stop what listens there")


def is_free(port: int) -> bool:
    """Whether one could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
