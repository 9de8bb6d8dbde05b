"""Ids of this process."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from eventstore.ids import unique_id

_FORKING = """
import os
from eventstore.ids import unique_id
unique_id()
child = os.fork()
child and os.waitpid(child, 0)  # one after the other, else their lines run into each other
print(unique_id(), flush=True)
"""


def _ids(count: int) -> list[str]:
    return [unique_id() for _ in range(count)]


def test_ids_are_never_made_twice() -> None:
    """Not by threads at once."""
    with ThreadPoolExecutor(8) as threads:
        made = [id_ for ids in threads.map(_ids, [2_000] * 8) for id_ in ids]

    assert len(set(made)) == 16_000
    assert {len(id_) for id_ in made} == {28}


def test_a_forked_process_makes_its_own() -> None:
    """A child has its parent's memory, and must not go on where the parent does."""
    made = subprocess.run([sys.executable, "-c", _FORKING], capture_output=True, text=True, timeout=30, check=True)

    assert len({id_[:16] for id_ in made.stdout.split()}) == 2
