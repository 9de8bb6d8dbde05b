"""A process that runs the counters' unit on a real log until SIGTERM.

`python -m tests.eventstore.processor.counter_process URL NAME SLOT FOLDER`
"""

from __future__ import annotations

import signal
import sys
from threading import Event
from types import FrameType

from eventstore.clock import SystemClock
from eventstore.log import open_log
from eventstore.loops import LoopThread
from eventstore.process_host import ProcessHost
from eventstore.processor.inputs import AnyCall
from eventstore.processor.topics import topics_of
from eventstore.processor.unit import Unit
from eventstore.registry import TopicRegistry
from eventstore.state import open_state
from schemas import Serde
from tests.eventstore.processor.counters import MESSAGES, Counters


def main(url: str, name: str, slot: str, folder: str) -> None:
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

    log.create(topics_of(Counters(name, 4), name))
    thread = LoopThread(lambda: Unit(host, [Counters(name, 4)], moved=refuse), host.clock)
    thread.start()
    print("started", flush=True)
    stopped.wait()
    thread.ask_to_stop(host.clock.monotonic() + 10)
    thread.join()
    log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
