"""The note in an embedded folder that says where its owner answers.

The file `owner`: JSON, `{"v": 1, "pid": …, "socket": "…"}`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, cast

VERSION = 1


def write_note(folder: Path, socket: Path) -> None:
    """Say that this process answers at a socket."""
    new = folder / "owner.new"
    new.write_text(json.dumps({"v": VERSION, "pid": os.getpid(), "socket": str(socket)}))
    new.replace(folder / "owner")


def socket_of(folder: Path) -> str:
    """Where the owner of a folder answers.

    Raises:
        OSError: there is no note.
        ValueError: it is none of ours.
    """
    path = folder / "owner"
    try:
        note: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is none of ours: {error}") from error
    fields = cast("dict[str, Any]", note) if isinstance(note, dict) else {}
    socket = fields.get("socket")
    if fields.get("v") != VERSION or not isinstance(socket, str) or "\0" in socket:
        raise ValueError(f"{path} is of another version")
    return socket
