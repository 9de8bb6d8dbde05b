"""`sagalog saga`: follow sagas, read straight from the log: no service has to run, and none of its code is needed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from eventstore.log import Log
from eventstore.registry_choice import open_registry
from sagalog.cli.opening import Json, LogUrl, opened
from sagalog.cli.output import Counter, text_of
from sagalog.cli.output import show as tell
from sagalog.cli.values import Count
from sagas.errors import SagaNotFound
from sagas.finding import saga_names
from sagas.overview import Overview, Standing, read_history, read_overviews
from sagas.timeline import as_json, lines, table, timeline
from schemas import Serde

saga = App(name="saga", help="Follow sagas: list them, show what happened to one.")

_STYLES: dict[Standing, str] = {"completed": "green", "undone": "yellow", "compensating": "yellow", "parked": "red"}


@saga.command(
    name="list",
    help_epilogue=(
        "Examples:\n  sagalog saga list\n  sagalog saga list book_trip --state parked\n"
        "  sagalog saga list --state forward compensating --json\n"
    ),
)
def list_(
    name: str | None = None,
    /,
    *,
    log: LogUrl,
    state: Annotated[tuple[Standing, ...], Parameter(consume_multiple=True)] = (),
    limit: Count = 50,
    json: Json = False,
) -> None:
    """List sagas, the last changed first.

    The column step is where a saga is: the steps and waits that it waits for; while it is undone, those whose undo is
    under way or parked. Of one that has ended it is the last step, or the one where it turned back.

    Parameters
    ----------
    name
        Of this definition; without it, of all.
    state
        Only those in one of these states.
    limit
        At most so many; how many there are is said in any case.
    """
    with _opened(log) as (opened, serde), Counter("events read") as counter:
        names = [name] if name is not None else saga_names(opened, serde)
        found = [(one, each) for one in names for each in read_overviews(opened, serde, one, progress=counter.add)]
    chosen = [(one, each) for one, each in found if not state or each.standing in state]
    chosen.sort(key=lambda pair: pair[1].changed, reverse=True)
    counts: dict[Standing, int] = {
        standing: sum(each.standing == standing for _, each in found) for standing in _standings(found)
    }
    facts = {"sagas": len(chosen), "states": counts, "listed": [_facts(*pair) for pair in chosen[:limit]]}
    tell(facts, _text(chosen, limit, counts), json=json)


@saga.command(name="show", help_epilogue="Examples:\n  sagalog saga show book_trip 17\n")
def show_(name: str, key: str, /, *, log: LogUrl, json: Json = False) -> None:
    """Show what happened to one saga, as a timeline.

    Parameters
    ----------
    name
        The definition's name, such as book_trip.
    key
        The saga's key.
    """
    with _opened(log) as (opened, serde), Counter("events read") as counter:
        happened = read_history(opened, serde, name, key, progress=counter.add)
    if not happened:
        raise SagaNotFound(name, key)
    rows = timeline(happened)
    facts = {"saga": name, "key": key, "timeline": as_json(rows)}
    title = f"{name} {key}, started {rows[0].at.astimezone():%Y-%m-%d %H:%M:%S}"
    console = Console()
    if json or not console.is_terminal:
        tell(facts, "\n".join([title, *lines(rows)]), json=json)
    else:
        console.print(table(rows, title))


@contextmanager
def _opened(url: str) -> Generator[tuple[Log, Serde]]:
    with opened(url) as log, closing(open_registry(log)) as registry:
        yield log, Serde(registry)


def _standings(found: list[tuple[str, Overview]]) -> list[Standing]:
    return sorted({each.standing for _, each in found})


def _facts(name: str, each: Overview) -> dict[str, object]:
    return {
        "saga": name,
        "key": each.key,
        "version": each.version,
        "state": each.standing,
        "step": each.at_step,
        "reason": each.reason,
        "started": each.started.isoformat(),
        "changed": each.changed.isoformat(),
        "events": each.events,
    }


def _text(chosen: list[tuple[str, Overview]], limit: int, counts: dict[Standing, int]) -> str:
    if not chosen:
        return "no sagas"
    now = datetime.now(UTC)
    found = Table(box=None, pad_edge=False)
    for head in ("saga", "key", "state", "step", "reason", "age", "changed"):
        found.add_column(head, no_wrap=True)
    for name, each in chosen[:limit]:
        style = _STYLES.get(each.standing, "")
        state = f"[{style}]{each.standing}[/]" if style else each.standing
        found.add_row(
            name,
            each.key,
            state,
            each.at_step,
            each.reason,
            _span(now - each.started),
            f"{_span(now - each.changed)} ago",
        )
    summary = ", ".join(f"{count} {standing}" for standing, count in counts.items())
    more = f"; {len(chosen) - limit} not listed: raise --limit" if len(chosen) > limit else ""
    return f"{text_of(found)}\n{summary}{more}"


def _span(span: timedelta) -> str:
    """The two largest units: `3 d 4 h`."""
    seconds = max(0, int(span.total_seconds()))
    units = (("d", seconds // 86_400), ("h", seconds // 3_600 % 24), ("min", seconds // 60 % 60), ("s", seconds % 60))
    first = next((place for place, (_, value) in enumerate(units) if value), 3)
    return " ".join(f"{value} {unit}" for unit, value in units[first : first + 2])
