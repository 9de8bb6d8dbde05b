"""The version of the installed distribution."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version


def version() -> str:
    """The installed version; `unknown` when the sources are used without being installed."""
    try:
        return installed_version("sagalog")
    except PackageNotFoundError:
        return "unknown"
