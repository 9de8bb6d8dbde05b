"""A saga's history as a person reads it: one line per event, with the time since the start, what happened and why.

The same rows as plain lines, as a rich table, or as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from rich.table import Table
from rich.text import Text

from sagas import history
from schemas import Event, Nothing

Mood: TypeAlias = Literal["plain", "good", "warning", "bad"]
WAY_OUT = "; declare its handler idempotent=True if the outside call knows a repeat by the command's id"
"""P1: behind a refused step that was undone all the same. Of one that is not undone it would change nothing."""
_STYLES: dict[Mood, str] = {"plain": "", "good": "green", "warning": "yellow", "bad": "red"}


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of a saga's stream."""

    version: int
    at: datetime
    event: Event


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a timeline."""

    version: int
    at: datetime
    since_start: timedelta
    what: str
    step: str
    detail: str
    mood: Mood


def timeline(happened: Iterable[Happened]) -> list[Row]:
    """The rows of a history, in its order."""
    rows, start, all_of_it = list[Row](), None, list(happened)
    undone = {each.event.step for each in all_of_it if isinstance(each.event, history.UndoSent)}
    for each in all_of_it:
        start = each.at if start is None else start
        what, step, detail, mood = _described(each.event)
        if isinstance(each.event, history.StepRefused) and not each.event.final and step in undone:
            detail += WAY_OUT
        rows.append(Row(each.version, each.at, each.at - start, what, step, detail, mood))
    return rows


def lines(rows: Sequence[Row]) -> list[str]:
    """Plain text, aligned."""
    steps = max((len(row.step) for row in rows), default=0)
    whats = max((len(row.what) for row in rows), default=0)
    return [
        f"{_offset(row.since_start):>10}  {row.step:<{steps}}  {row.what:<{whats}}  {row.detail}".rstrip()
        for row in rows
    ]


def table(rows: Sequence[Row], title: str = "") -> Table:
    """A table for the terminal."""
    found = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    found.add_column("after", justify="right", style="dim")
    found.add_column("step", style="bold")
    found.add_column("what")
    found.add_column("detail", overflow="fold")
    for row in rows:
        style = _STYLES[row.mood]
        found.add_row(_offset(row.since_start), row.step, Text(row.what, style=style), Text(row.detail))
    return found


def as_json(rows: Sequence[Row]) -> list[dict[str, object]]:
    """For programs."""
    return [
        {
            "version": row.version,
            "at": row.at.isoformat(),
            "since_start_ms": round(row.since_start.total_seconds() * 1000),
            "step": row.step,
            "what": row.what,
            "detail": row.detail,
        }
        for row in rows
    ]


_Description: TypeAlias = tuple[str, str, str, Mood]


def _described(event: Event) -> _Description:
    describe = _DESCRIPTIONS.get(type(event))
    return (event.__type_name__, "", event.model_dump_json(), "plain") if describe is None else describe(event)


def _offset(span: timedelta) -> str:
    seconds = span.total_seconds()
    if seconds < 60:
        return f"+{seconds:.3f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"+{hours}:{minutes:02}:{rest:02}"


def _short(kind: str, text: str) -> str:
    """`SoldOut city=Rome` instead of a type name and JSON."""
    try:
        fields: Any = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return f"{kind} {text}"
    if not isinstance(fields, dict):
        return f"{kind} {text}"
    given = ", ".join(f"{name}={_value(value)}" for name, value in fields.items())  # pyright: ignore[reportUnknownVariableType] - JSON
    return f"{kind} {given}".rstrip()


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _clock(instant_ms: int) -> str:
    return datetime.fromtimestamp(instant_ms / 1000, UTC).strftime("%H:%M:%S")


def _trouble(error: str, detail: str, retry_ms: int) -> str:
    then = f"again at {_clock(retry_ms)}" if retry_ms else "no attempt is left"
    return ": ".join(part for part in (error, detail) if part) + f"; {then}"


def _by(who: str, why: str) -> str:
    said = f"by {who}" if who else ""
    return f"{said}: {why}" if said and why else said or why


def _started(event: history.SagaStarted) -> _Description:
    limit = f", deadline {_clock(event.deadline_ms)}" if event.deadline_ms else ""
    return "started", "", _short(f"{event.saga} version {event.version}{limit}:", event.input), "plain"


def _step_sent(event: history.StepSent) -> _Description:
    return "sent", event.step, f"{_short(event.type, event.command)} → {event.topic}[{event.partition}]", "plain"


def _replied(event: history.StepReplied) -> _Description:
    if event.type == Nothing.__type_name__:
        return "done", event.step, "", "good"
    return "replied", event.step, _short(event.type, event.reply), "good"


def _turned(event: history.CompensationStarted) -> _Description:
    why = _short(event.type, event.refusal) if event.type else ""
    return "turns back", event.step, f"{event.reason}{': ' if why else ''}{why}", "bad"


def _undo_sent(event: history.UndoSent) -> _Description:
    doubt = " (in doubt: it may never have been done)" if event.in_doubt else ""
    return "undo sent", event.step, _short(event.type, event.command) + doubt, "warning"


_DESCRIPTIONS: dict[type[Event], Callable[[Any], _Description]] = {
    history.SagaStarted: _started,
    history.OutcomeAsked: lambda _: ("outcome asked", "", "somebody waits for the end", "plain"),
    history.ConditionAnswered: lambda e: ("condition", e.condition, "yes" if e.answer else "no", "plain"),
    history.StepSent: _step_sent,
    history.StepResent: lambda e: ("sent again", e.step, f"attempt {e.attempt}", "warning"),
    history.StepReplied: _replied,
    history.StepRefused: lambda e: (
        "refused",
        e.step,
        _short(e.type, e.refusal) + ("" if e.final else " (an earlier run may have succeeded)"),
        "bad",
    ),
    history.StepFailed: lambda e: (
        f"attempt {e.attempt} failed",
        e.step,
        _trouble(e.error, e.detail, e.retry_ms),
        "warning",
    ),
    history.StepNotBuilt: lambda e: ("not built", e.step, _trouble(e.error, e.detail, e.retry_ms), "bad"),
    history.WaitBegan: lambda e: ("waits", e.wait, f"until {_clock(e.due_ms)}", "plain"),
    history.SignalReceived: lambda e: ("signalled", e.wait, _short(e.type, e.message), "good"),
    history.WaitUnanswered: lambda e: ("unanswered", e.wait, "nobody signalled in time", "warning"),
    history.CancelAsked: lambda e: ("cancel asked", "", _by(e.who, e.why), "warning"),
    history.CompensationStarted: _turned,
    history.UndoSent: _undo_sent,
    history.UndoResent: lambda e: (
        "undo sent again",
        e.step,
        f"attempt {e.attempt}" + (f" {_by(e.who, e.why)}" if e.who else ""),
        "warning",
    ),
    history.UndoFailed: lambda e: (
        f"undo attempt {e.attempt} failed",
        e.step,
        _trouble(e.error, e.detail, e.retry_ms),
        "warning",
    ),
    history.UndoParked: lambda e: ("undo parked", e.step, f"{e.error}: an operator decides", "bad"),
    history.UndoSkipped: lambda e: ("undo skipped", e.step, _by(e.who, e.why), "bad"),
    history.StepUndone: lambda e: ("undone", e.step, "", "good"),
    history.SagaCompleted: lambda e: ("completed", "", _short("", e.result).strip(), "good"),
    history.SagaUndone: lambda _: ("undone", "", "everything that may have happened is undone", "good"),
}
