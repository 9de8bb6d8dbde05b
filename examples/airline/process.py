"""One process of the airline: hosts the service, feeds its share of the flights, tells how far it is in JSON lines.

    python -m examples.airline.process --log kafka://localhost:9092 --state ./state --slot 0 --of 3

It ends by SIGTERM. Killed and started again, it goes on: what was fed before is recognised.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from zlib import crc32

from consumers.errors import ConsumerError
from examples.airline.data import Flight, storm, year
from examples.airline.flights import feed
from examples.airline.service import components
from examples.airline.views import Endings
from sagalog import EventStoreError, Service
from sagalog.logs import configure

TOLD_EVERY_SECONDS = 0.25


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", required=True, help="the log's URL")
    parser.add_argument("--state", help="folder for what can be rebuilt")
    parser.add_argument("--slot", type=int, default=0, help="number of this process")
    parser.add_argument("--of", type=int, default=1, help="how many processes there are")
    parser.add_argument("--year", action="store_true", help="all of 2013 instead of the three days of the storm")
    chosen = parser.parse_args(arguments)
    configure(format="text")
    asyncio.run(run(chosen.log, chosen.state, chosen.slot, chosen.of, year() if chosen.year else storm()))


async def run(log: str, state: str | None, slot: int, of: int, plan: Sequence[Flight]) -> None:
    """Host, feed and tell."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGINT, stopped.set)
    fed = 0

    def told(count: int) -> None:
        nonlocal fed
        fed = count

    def mine(flight: Flight) -> bool:
        return crc32(flight.id.encode()) % of == slot

    async with Service("airline", components=components(), log=log, state=state, slot=str(slot)) as service:
        work = {
            asyncio.create_task(_tell(service, lambda: fed)),
            asyncio.create_task(feed(service, plan, mine, told)),
        }
        stopping = asyncio.create_task(stopped.wait())
        while not stopping.done():
            done, _ = await asyncio.wait({*work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in done & work:
                task.result()
                work.discard(task)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)


async def _tell(service: Service, fed: Callable[[], int]) -> None:
    """Print how far this process is, and how the sagas of all processes stand."""
    count = service.table(Endings.count)
    while True:
        try:
            started, completed, undone = [await count.get(kind) or 0 for kind in ("started", "completed", "undone")]
        except (EventStoreError, ConsumerError) as error:
            if not error.is_retryable:
                raise
        else:
            told = {"fed": fed(), "started": started, "completed": completed, "undone": undone}
            print(json.dumps(told), flush=True)
        await asyncio.sleep(TOLD_EVERY_SECONDS)


if __name__ == "__main__":
    main()
