"""A process that runs the counters' unit on a real log until SIGTERM.

`python -m tests.eventstore.processor.counter_process URL NAME SLOT FOLDER [standby]`. With a standby it prints
again and again which partitions that follows, and how many records it has not read: `follows 0,2 17`.
"""

from __future__ import annotations

import signal
import sys
from threading import Event
from types import FrameType

from eventstore.clock import SystemClock
from eventstore.log import open_log
from eventstore.log.port import Log
from eventstore.loops import LoopThread
from eventstore.process_host import ProcessHost
from eventstore.processor.inputs import AnyCall
from eventstore.processor.standby import Standby
from eventstore.processor.topics import topics_of
from eventstore.processor.unit import Unit
from eventstore.registry import TopicRegistry
from eventstore.state import open_state
from schemas import Serde
from tests.eventstore.processor.counters import MESSAGES, Counters


def follows(log: Log, standby: Standby) -> str:
    """What it follows, and how far that is from the journals' ends now."""
    rows = [one.rows for one in list(standby._followed.values())]
    positions = {side: at for one in rows for side, at in one.positions.items()}
    behind = sum(end - positions[side] for side, end in log.end_positions(positions).items())
    return f"follows {','.join(sorted(str(one.journals.inbox.partition) for one in rows))} {behind}"


def main(url: str, name: str, slot: str, folder: str, standby: str = "") -> None:
    stopped = Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    log = open_log(url)
    host = ProcessHost(
        service=name,
        slot=slot,
        log=log,
        serde=Serde(TopicRegistry(log), MESSAGES),
        state=open_state(folder),
        clock=SystemClock(),
    )

    def refuse(call: AnyCall) -> None:
        raise AssertionError(f"nobody calls locally: {call}")

    def is_ready() -> bool:
        return unit.is_ready()

    log.create(topics_of(Counters(name, 4), name))
    following = Standby(host, name, [Counters(name, 4)], is_ready) if standby else None
    unit = LoopThread(lambda: Unit(host, [Counters(name, 4)], moved=refuse, standby=following), host.clock)
    threads = [unit, *([] if following is None else [LoopThread(lambda: following, host.clock)])]
    for thread in threads:
        thread.start()
    print("started", flush=True)
    while not stopped.wait(0.2):
        if following is not None:
            print(follows(log, following), flush=True)
    for thread in threads:
        thread.ask_to_stop(host.clock.monotonic() + 10)
    for thread in threads:
        thread.join()
    log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
