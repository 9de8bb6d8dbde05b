"""Notice that a file of the user's has the name of one of our packages, and say which file it is.

Our packages have common names; a web project may well have a `schemas.py`. Python would import that one in the place of
ours, and fail somewhere else with a message that helps nobody. This module has a name that nobody else uses, so it is
found whatever is shadowed. Each package's `__init__` begins with `check_below(__name__)`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

PACKAGES = ("schemas", "eventstore", "consumers", "sagas", "sagalog")
"""Our packages; each may import those on its left."""

_HOME = Path(__file__).resolve().parent


def check_below(package: str) -> None:
    """Raise ImportError when a package left of this one is not ours."""
    for name in PACKAGES[: PACKAGES.index(package)]:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is not None and origin.parent.parent != _HOME:
            raise ImportError(
                f"{package} needs its own package {name!r}, but {origin} is found in its place: rename that file, or "
                "move your code into a package of its own",
                name=name,
                path=str(origin),
            )
