"""A re-keyed view in two versions, and a process of it: `buyers.py <log URL> <topic> <state folder> <slot> <death>`.

The process runs version 2 and prints its endpoint's address. It kills itself after so many events, in the re-keying
with the death `copying`, in the view with the death `viewing`; else it runs until its standard input ends.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from threading import Event

from consumers.table import Table
from consumers.view import View, on
from eventstore.log import open_log
from eventstore.registry import TopicRegistry
from eventstore.state import open_state
from schemas import Serde
from tests.consumers.view.host import Process
from tests.consumers.view.shop import Placed, Total

DIES_AFTER = 3_000


def nothing() -> None:
    """What happens at an event, unless the process is to die."""


def buyers(
    topic: str, version: int, *, copied: Callable[[], object] = nothing, viewed: Callable[[], object] = nothing
) -> type[View]:
    """The view. An event counts as many times as the version says, so that a row tells whose it is."""

    def buyer_of(event: Placed) -> str:
        copied()
        return event.customer

    name = "buyers_of_" + topic.partition(".")[0].replace("-", "_")

    class Buyers(View, topics=[topic], name=name, version=version, by=buyer_of):
        totals: Table[str, Total]

        @on
        def placed(self, event: Placed) -> None:
            viewed()
            row = self.totals.get(event.customer, Total())
            self.totals[event.customer] = row.plus(Total(count=version, cents=event.cents))

    return Buyers


def death() -> Callable[[], None]:
    """Counts, and kills this process."""
    numbers = count(1)

    def die() -> None:
        if next(numbers) == DIES_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)

    return die


def main(url: str, topic: str, folder: str, slot: str, dies: str) -> None:
    """Run until standard input ends, or the death."""
    log = open_log(url)
    serde = Serde(TopicRegistry(log), format="json")
    die, slow = death(), Event()

    def copied() -> None:
        slow.wait(0.0003)  # so that both processes have their part of it
        if dies == "copying":
            die()

    view = buyers(topic, 2, copied=copied, viewed=die if dies == "viewing" else nothing)
    process = Process(log, serde, view, state=open_state(folder), slot=slot).start()
    print(process.endpoint.address, flush=True)
    sys.stdin.read()
    process.stop()
    log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
