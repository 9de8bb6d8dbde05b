"""`sagalog broker`: Apache Kafka on this machine, for development."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal

from sagalog.broker import KAFKA_VERSION
from sagalog.broker import broker as provided
from sagalog.cli.output import progress, show


def broker(
    *, nodes: Literal[1, 3] = 1, port: int | None = None, folder: Path | None = None, json: bool = False
) -> None:
    """Run Apache Kafka on this machine until Ctrl-C.

    Prints the address that clients connect to once Kafka answers. The first run fetches Kafka and a Java to run it
    on; later ones start within a second or two.

    Parameters
    ----------
    nodes
        1, or 3 to see what happens when one is lost.
    port
        The port of the first node. By default, and for 0, a free one is chosen.
    folder
        Where records are kept from run to run. By default nothing is kept.
    json
        Print one JSON object instead of text.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), provided(nodes=nodes, port=port, folder=folder, say=progress) as cluster:
        facts = {
            "bootstrap": cluster.bootstrap,
            "kafka": KAFKA_VERSION,
            "nodes": nodes,
            "log": str(cluster.log) if cluster.log else None,
        }
        show(facts, _text(cluster.bootstrap, cluster.log), json=json)
        threading.Event().wait()


def _text(bootstrap: str, log: Path | None) -> str:
    lines = [f"Kafka {KAFKA_VERSION} answers at {bootstrap}", f"  export SAGALOG_LOG=kafka://{bootstrap}"]
    if log:
        lines.append(f"  its log: {log}")
    return "\n".join([*lines, "Ctrl-C stops it."])
