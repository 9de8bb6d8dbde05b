"""One process of the accounts' service, until SIGTERM: `python -m benchmarks.member --log URL --slot 0 --state DIR
[--standby]`. Prints its HTTP address when it serves what it was assigned."""

from __future__ import annotations

import argparse
import asyncio

from benchmarks.commands import Account
from benchmarks.setting import RUN
from consumers.service import Service
from sagalog.logs import configure_unless_done


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("log", "slot", "state"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--standby", action="store_true")
    chosen = parser.parse_args()
    configure_unless_done()
    service = Service(
        f"bench-{RUN}", components=[Account], log=chosen.log, slot=chosen.slot, state=chosen.state,
        standby=chosen.standby,
    )  # fmt: skip
    asyncio.run(service.serve(ready=lambda: print(service.address, flush=True)))


if __name__ == "__main__":
    main()
