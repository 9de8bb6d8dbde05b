"""A process that follows a store of another one by a client, from the position of its last line on, until it is killed.

`python -m tests.consumers.service.follower URL PREFIX OUTPUT`: of the streams of `ledger` whose ids begin with PREFIX.
OUTPUT gets a line for each event: stream, version, position.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from consumers import Client
from eventstore.streams import Position
from tests.consumers.service.ledgers import ledger


def position_of(output: Path) -> Position | None:
    """That of the last whole line; what was written of another one is dropped."""
    written = output.read_text() if output.exists() else ""
    whole = written[: written.rfind("\n") + 1]
    output.write_text(whole)
    return Position.parse(whole.split()[-1]) if whole else None


async def main(url: str, prefix: str, output: Path) -> None:
    after = position_of(output)
    with output.open("a") as to:
        async with Client(log=url, name="follower", stores=[ledger]):
            async for each in ledger.subscribe(after=after, prefix=prefix):
                to.write(f"{each.stream} {each.version} {each.position}\n")
                to.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
