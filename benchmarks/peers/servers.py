"""A server that runs for as long as it is measured, and is stopped for sure."""

from __future__ import annotations

import pwd
import signal
import subprocess
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.setting import until

_STOP_S = 20.0


@contextmanager
def server(
    command: Sequence[str | Path], is_ready: Callable[[], bool], *, owner: pwd.struct_passwd | None = None
) -> Generator[None]:
    """Run it, as `owner` if one is given, and go on when it is ready.

    Raises:
        ChildProcessError: it ended before it was ready.
        TimeoutError: it was not ready in two minutes.
    """
    process = subprocess.Popen(
        command, user=uid(owner), group=gid(owner), extra_groups=None if owner is None else [], cwd="/",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: _runs(process) and is_ready(), every_s=0.05)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _runs(process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        raise ChildProcessError(f"{process.args!r} ended with {process.returncode}: run it by hand to see why")
    return True


def uid(owner: pwd.struct_passwd | None) -> int | None:
    """As processes are started."""
    return None if owner is None else owner.pw_uid


def gid(owner: pwd.struct_passwd | None) -> int | None:
    """As processes are started."""
    return None if owner is None else owner.pw_gid
