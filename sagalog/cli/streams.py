"""`sagalog streams`: export streams to a file, import them, list and show them."""

from __future__ import annotations

import asyncio
import json as codec
from datetime import UTC, datetime
from pathlib import Path

from cyclopts import App
from rich.table import Table

from eventstore.registry_choice import open_registry
from eventstore.transfer import Imported, export_streams, import_streams
from eventstore.transfer.files import FileFormat
from eventstore.transfer.looking import Shown, Summary, events_of_stream, summaries
from sagalog.cli.opening import Json, LogUrl, RegistryUrl, check_kept, opened
from sagalog.cli.output import Counter, text_of
from sagalog.cli.output import show as tell
from sagalog.cli.values import Count, PositionText, Prefix, StoreName, StreamId, StreamIds
from sagalog.logs import configure_unless_done

_SEALED = "personal data  sealed; its keys are not in the file and stay in this log: in another one nobody can read it"

streams = App(name="streams", help="Export streams to a file, import them, list and show them.")


@streams.command(
    name="export",
    help_epilogue=(
        "Examples:\n  sagalog streams export orders --to orders.jsonl\n"
        "  sagalog streams export orders --to eu.avro --prefix eu- --json\n"
        "  sagalog streams export orders --to more.avro --after 2:4f1c:0=12,1=7\n"
    ),
)
def export_(
    store: StoreName,
    /,
    *,
    log: LogUrl,
    to: Path,
    prefix: Prefix = "",
    stream: StreamIds = (),
    after: PositionText = None,
    format: FileFormat | None = None,
    registry: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Write the events of a store to a file. If the file is that of an interrupted export, go on where it ends.

    Parameters
    ----------
    store
        The store's name, or that of an aggregate.
    to
        The file.
    prefix
        Only streams whose id begins so.
    stream
        Only this stream. May be given several times.
    after
        Only events beyond this position, such as the one that an earlier export reached.
    format
        jsonl or avro. By default what the file's name says.
    """
    with opened(log) as found, Counter("events") as counter:
        done = export_streams(
            found, store, to, prefix=prefix, streams=stream, after=after, format=format, registry=registry,
            progress=counter.add,
        )  # fmt: skip
    facts: dict[str, object] = {
        "file": str(done.path),
        "events": done.events,
        "added": done.added,
        "position": str(done.position),
        "checksum": done.checksum,
        "has_personal": done.has_personal,
    }
    before = f", {done.events - done.added:,} of them before" if done.events > done.added else ""
    text = f"{done.path}: {done.events:,} events{before}\nposition  {done.position}\nchecksum  {done.checksum}"
    text += f"\n{_SEALED}" if done.has_personal else ""
    tell(facts, text, json=json)


@streams.command(
    name="import",
    help_epilogue=(
        "Examples:\n  sagalog streams import orders orders.jsonl --dry-run\n"
        "  sagalog streams import orders orders.jsonl\n"
        "  sagalog streams import orders orders.avro --log embedded:///data --serve-as shop\n"
    ),
)
def import_(
    store: StoreName,
    file: Path,
    /,
    *,
    log: LogUrl,
    serve_as: str | None = None,
    partitions: int | None = None,
    dry_run: bool = False,
    registry: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Append the events of an exported file to a store, as they were recorded. What is there already is left alone.

    Parameters
    ----------
    store
        The store's name, or that of an aggregate.
    file
        What `export` wrote.
    serve_as
        No process serves the store: stand in for the service of this name (that of a store used alone is the store's).
    partitions
        How many the store gets if it is made now, with --serve-as.
    dry_run
        Only compare, and say what would be done.
    """
    configure_unless_done()
    check_kept(log)
    with Counter("events") as counter:
        done = asyncio.run(
            import_streams(
                log, store, file, serve_as=serve_as, partitions=partitions, dry_run=dry_run, registry=registry,
                progress=counter.add,
            )
        )  # fmt: skip
    facts: dict[str, object] = {
        "file": str(done.path),
        "added": done.added,
        "skipped": done.skipped,
        "schemas": done.schemas,
        "checksum": done.checksum,
        "without_keys": done.without_keys,
        "subjects_without_keys": done.subjects_without_keys,
        "dry_run": dry_run,
    }
    verb = "would be added" if dry_run else "added"
    text = f"{verb}: {done.added:,} events\nthere already: {done.skipped:,}"
    tell(facts, text + (f"\n{_without_keys(done)}" if done.without_keys else ""), json=json)


@streams.command(
    name="list",
    help_epilogue="Examples:\n  sagalog streams list orders\n  sagalog streams list orders --prefix eu- --json\n",
)
def list_(store: StoreName, /, *, log: LogUrl, prefix: Prefix = "", limit: Count = 100, json: Json = False) -> None:
    """List the streams of a store, by id. Reads the whole topic.

    Parameters
    ----------
    store
        The store's name, or that of an aggregate.
    prefix
        Only streams whose id begins so.
    limit
        At most so many; how many there are is said in any case.
    """
    with opened(log) as found, Counter("events") as counter:
        every = summaries(found, store, prefix=prefix, progress=counter.add)
    shown = every[:limit]
    facts = {"streams": len(every), "listed": [_summary(each) for each in shown]}
    more = f"\n{len(every) - limit} more: raise --limit" if len(every) > limit else ""
    text = _table([_summary(each) for each in shown]) if shown else f"{len(every) or 'no'} streams"
    tell(facts, text + more, json=json)


@streams.command(
    name="show",
    help_epilogue="Examples:\n  sagalog streams show orders order-17\n  sagalog streams show orders order-17 --json\n",
)
def show_(
    store: StoreName,
    stream: StreamId,
    /,
    *,
    log: LogUrl,
    after: int = -1,
    limit: Count = 100,
    registry: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Show the events of one stream. Reads its partition of the topic; no type has to be known.

    Parameters
    ----------
    store
        The store's name, or that of an aggregate.
    stream
        The stream's id.
    after
        Only events with a greater version.
    limit
        At most so many; whether there are more is said in any case.
    """
    with opened(log) as found, open_registry(found, registry) as asked:
        events = events_of_stream(found, asked, store, stream, after=after, limit=limit + 1)
    shown, is_more = events[:limit], len(events) > limit
    facts = {"stream": stream, "events": [_event(each) for each in shown], "more": is_more}
    last = shown[-1].version if shown else after
    lines = [*map(_line, shown), *([f"there are more: raise --limit, or go on with --after {last}"] if is_more else [])]
    tell(facts, "\n".join(lines) or f"{stream} has no events", json=json)


def _without_keys(done: Imported) -> str:
    return (
        f"{done.without_keys:,} events hold personal data of {done.subjects_without_keys:,} subjects whose keys are "
        "not here, so nobody can read it in this log. Import into the log that it comes from, or have a program read "
        "it there and append it here"
    )


def _line(each: Shown) -> str:
    fields = codec.dumps(each.fields, ensure_ascii=False)
    return f"{each.version:>6}  {_at(each.timestamp_ms)}  {each.type} v{each.type_version}  {fields}"


def _summary(each: Summary) -> dict[str, object]:
    return {
        "stream": each.stream,
        "events": each.events,
        "first": each.first,
        "last": each.last,
        "at": _at(each.timestamp_ms),
    }


def _event(each: Shown) -> dict[str, object]:
    return {
        "version": each.version,
        "at": _at(each.timestamp_ms),
        "type": each.type,
        "type_version": each.type_version,
        "metadata": each.metadata,
        "event": each.fields,
    }


def _table(rows: list[dict[str, object]]) -> str:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(str, row.values()))
    return text_of(table)


def _at(timestamp_ms: int) -> str:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds")
