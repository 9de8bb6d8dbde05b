"""`sagalog schemas`: look at registered schemas, register more, and check classes before they are deployed."""

from __future__ import annotations

import difflib
import json as codec
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from cyclopts import App, CycloptsError
from rich.table import Table

from consumers.errors import LogNotGiven
from eventstore.registry_choice import OpenRegistry, open_registry
from sagalog.cli.loading import messages_of
from sagalog.cli.opening import AnyLogUrl, Json, LogUrl, RegistryUrl, opened
from sagalog.cli.output import show as tell
from sagalog.cli.output import text_of
from sagalog.cli.schemas_check import CHECK_EXAMPLES, check
from sagalog.cli.values import Port
from sagalog.logs import configure_unless_done
from sagalog.schema_lookup import look_up, missing_type
from schemas import Registered, Serde
from schemas.compatibility import MODES, Mode, problems
from schemas.schema import Format

schemas = App(name="schemas", help="Look at registered schemas, register more, check classes against committed ones.")


@contextmanager
def registry_of(log: str | None, registry: str | None, command: str) -> Generator[OpenRegistry]:
    """The registry of a log, or the one behind a URL."""
    if registry is not None:
        configure_unless_done()
        with open_registry(None, registry) as found:
            yield found
    elif log is not None:
        with opened(log) as looked_at, open_registry(looked_at, "") as found:
            yield found
    else:
        ways = "--log or the variable SAGALOG_LOG, or --registry"
        raise CycloptsError(msg=str(LogNotGiven(f"`sagalog schemas {command}`", ways, is_kept=True)))


@schemas.command(name="list", help_epilogue="Examples:\n  sagalog schemas list\n  sagalog schemas list --json\n")
def list_(*, log: AnyLogUrl = None, registry: RegistryUrl = None, json: Json = False) -> None:
    """List the types that have schemas, with their versions, ids and compatibility modes."""
    with registry_of(log, registry, "list") as found:
        general = found.mode()
        rows = [(name, found.mode(name), found.versions(name)) for name in found.subjects()]
    facts = {
        "mode": general,
        "subjects": [
            {"name": name, "mode": mode, "schemas": [_facts(each) for each in versions]}
            for name, mode, versions in rows
        ],
    }
    tell(facts, _text(rows), json=json)


@schemas.command(
    help_epilogue=(
        "Examples:\n  sagalog schemas show order.placed\n  sagalog schemas show order.placed --version 1\n"
        "  sagalog schemas show 7 --json\n"
    )
)
def show(
    name: str, /, *, version: int | None = None, log: AnyLogUrl = None, registry: RegistryUrl = None, json: Json = False
) -> None:
    """Show a schema: the last one of a type, of one of its versions, or that of an id.

    Parameters
    ----------
    name
        The type's name, or a schema's id.
    version
        The type's version.
    """
    with registry_of(log, registry, "show") as found:
        shown = look_up(found, name if version is None else f"{name}@{version}")
    text = codec.dumps(codec.loads(shown.schema.text), indent=2, ensure_ascii=False)
    tell({**_facts(shown), "name": shown.subject, "schema": codec.loads(text)}, f"{_title(shown)}\n{text}", json=json)


@schemas.command(
    help_epilogue=(
        "Examples:\n  sagalog schemas diff order.placed@1 order.placed@2\n  sagalog schemas diff 7 9 --json\n"
    )
)
def diff(old: str, new: str, /, *, log: AnyLogUrl = None, registry: RegistryUrl = None, json: Json = False) -> None:
    """Compare two schemas, and say which compatibility modes allow the change.

    Parameters
    ----------
    old
        The earlier schema: NAME, NAME@VERSION or an id.
    new
        The later one.
    """
    with registry_of(log, registry, "diff") as found:
        one, other = look_up(found, old), look_up(found, new)
    changes = problems(other.schema, one.schema, "full")
    allowed = [mode for mode in MODES if not problems(other.schema, one.schema, mode)]
    lines = [
        *difflib.unified_diff(_lines(one), _lines(other), _title(one), _title(other), n=2, lineterm=""),
        *(f"{each.direction}: {each}" for each in changes),
        f"allowed by: {', '.join(allowed)}",
    ]
    said = [
        {"field": each.field, "rule": each.rule, "old": each.old, "new": each.new, "direction": each.direction}
        for each in changes
    ]
    facts = {"old": _facts(one), "new": _facts(other), "problems": said, "allowed": allowed}
    tell(facts, "\n".join(lines), json=json)


@schemas.command(
    help_epilogue=(
        "Examples:\n  sagalog schemas register shop.messages --log kafka://localhost:9092\n"
        "  sagalog schemas register shop.messages --registry https://registry.example --format json\n"
    )
)
def register(
    module: str,
    /,
    *,
    log: AnyLogUrl = None,
    registry: RegistryUrl = None,
    format: Format = "avro",
    json: Json = False,
) -> None:
    """Register the messages of a module or package, as a service does when it starts.

    Parameters
    ----------
    module
        The module, such as shop.messages; of a package all its modules.
    format
        The format of the schemas.
    """
    messages = messages_of(module)
    with registry_of(log, registry, "register") as found:
        serde = Serde(found, messages, format=format)
        made = [(each, serde.schema_id(each)) for each in messages]
    facts = [{"id": id, "name": each.__type_name__, "version": each.__type_version__} for each, id in made]
    text = "\n".join(f"{each['id']}: {each['name']} version {each['version']}" for each in facts)
    tell({"registered": facts}, text or f"no messages in {module}", json=json)


schemas.command(check, help_epilogue=CHECK_EXAMPLES)


@schemas.command(
    help_epilogue=(
        "Examples:\n  sagalog schemas mode\n  sagalog schemas mode order.placed\n"
        "  sagalog schemas mode order.placed --set full_transitive\n  sagalog schemas mode --set none\n"
    )
)
def mode(
    name: str | None = None,
    /,
    *,
    set: Mode | None = None,  # noqa: A002
    log: AnyLogUrl = None,
    registry: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Show or set what new schemas are checked for.

    Parameters
    ----------
    name
        Of this type, also before it has a schema; without it, what holds for types that have no mode of their own.
    set
        From now on this one. What is registered already is not checked again.
    """
    with registry_of(log, registry, "mode") as found:
        if set is not None:
            found.set_mode(name, set)
        now = found.mode(name)
        missing = None if name is None else missing_type(found, name)
    facts = {"name": name, "mode": now, **({} if name is None else {"is_registered": missing is None})}
    tell(facts, now if missing is None else f"{now}\n{missing}", json=json)


@schemas.command(
    help_epilogue=(
        "Examples:\n  sagalog schemas serve --log kafka://localhost:9092 --port 8081\n"
        "  sagalog schemas serve --log embedded:///data --port 0 --json\n"
    )
)
def serve(
    *,
    log: LogUrl,
    host: str = "127.0.0.1",
    port: Port = 8081,
    json: bool = False,
) -> None:
    """Serve the log's schemas over the HTTP API of Confluent's registry, read-only, until Ctrl-C.

    It has no authentication: bind it to an address that only your own network reaches.

    Parameters
    ----------
    log
        The log's URL.
    host
        The address to listen at.
    port
        The port; 0: any free one.
    json
        Tell the URL as one JSON object.
    """
    from sagalog.cli.schemas_serving import serve_registry

    serve_registry(log, host, port, json=json)


def _facts(each: Registered) -> dict[str, object]:
    return {"id": each.id, "number": each.number, "version": each.schema.version, "format": each.schema.format}


def _title(each: Registered) -> str:
    return f"{each.subject} version {each.schema.version}, {each.schema.format}, id {each.id}"


def _lines(each: Registered) -> list[str]:
    return codec.dumps(codec.loads(each.schema.text), indent=2, ensure_ascii=False).split("\n")


def _text(rows: Iterable[tuple[str, str, list[Registered]]]) -> str:
    table = Table(box=None, pad_edge=False)
    for head in ("type", "versions", "format", "ids", "mode"):
        table.add_column(head, no_wrap=True)
    for name, mode_, found in rows:
        versions = sorted({each.schema.version for each in found})
        formats = sorted({each.schema.format for each in found})
        table.add_row(name, _some(versions), _some(formats), _some([each.id for each in found]), mode_)
    return text_of(table) if table.row_count else "no schemas"


def _some(values: Iterable[object]) -> str:
    return " ".join(map(str, values))
