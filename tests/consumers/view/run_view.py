"""A process that runs the view `Totals` on a Kafka: `run_view.py <log URL> <topic> <state folder> <slot>`.

Prints its endpoint's address, and runs until it is killed or its standard input ends.
"""

from __future__ import annotations

import sys

from consumers.table import Table, table
from consumers.view import View, on
from eventstore.log import open_log
from eventstore.registry import TopicRegistry
from eventstore.state import open_state
from schemas import Serde
from tests.consumers.view.host import Process
from tests.consumers.view.shop import Placed, Total


def totals(topic: str, version: int = 1) -> type[View]:
    """The view, over this topic."""

    class Totals(View, topics=[topic], name=topic.partition(".")[0].replace("-", "_"), version=version):
        by_order: Table[str, Total]
        by_customer: Table[str, Total] = table(merge=Total.plus)

        @on
        def placed(self, event: Placed) -> None:
            added = Total(count=1, cents=event.cents)
            self.by_order[event.order] = self.by_order.get(event.order, Total()).plus(added)
            self.by_customer[event.customer] = self.by_customer.get(event.customer, Total()).plus(added)

    return Totals


def main(url: str, topic: str, folder: str, slot: str) -> None:
    """Run until standard input ends."""
    log = open_log(url)
    serde = Serde(TopicRegistry(log), format="json")
    process = Process(log, serde, totals(topic), state=open_state(folder), slot=slot).start()
    print(process.endpoint.address, flush=True)
    sys.stdin.read()
    process.stop()
    log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
