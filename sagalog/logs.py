"""What is logged, and how: one event name with fields per state change, on standard error.

A program that configured structlog itself keeps its configuration. Without one, warnings and errors are shown.
"""

from __future__ import annotations

import logging
import sys
from functools import partial
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger


def configure(level: int = logging.INFO, *, format: Literal["text", "json"] = "text", slot: str | None = None) -> None:
    """Log from `level` on, for people or for machines. `slot`: said in each line, of whatever thread."""
    renderer = (
        structlog.processors.JSONRenderer()
        if format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # rich's shows locals, and so what messages hold
        )
    )
    traceback = [structlog.processors.format_exc_info] if format == "json" else []
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *([] if slot is None else [partial(_add_slot, slot)]),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            *traceback,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _add_slot(slot: str, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.setdefault("slot", slot)
    return event


def configure_unless_done() -> None:
    """Show warnings and errors only, unless the program chose otherwise."""
    if not structlog.is_configured():
        configure(logging.WARNING)
