"""`sagalog dlq`: look into dead letters, send them back, or lay them aside."""

from __future__ import annotations

import json as codec
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from cyclopts import App, Parameter
from rich.table import Table

from consumers import dlq as operations
from consumers.dead_letters import DeadLetter
from consumers.dlq import DEFAULT_CAP, Choice, Outcome
from consumers.errors import NothingChosen
from consumers.rate import Rate
from consumers.redriving import value_of
from eventstore.log import Log
from eventstore.registry_choice import open_registry
from sagalog.cli.opening import Json, LogUrl, opened
from sagalog.cli.output import show as tell
from sagalog.cli.output import text_of
from sagalog.cli.values import Count, PerSecond
from schemas.avro import AvroCodec
from schemas.json_codec import JsonCodec
from schemas.wire import schema_id_of

dlq = App(name="dlq", help="Look into dead letters, send them back, or lay them aside.")


@Parameter(name="*")
@dataclass(frozen=True)
class Which:
    """Which dead letters; what is not given does not matter."""

    topic: str | None = None
    """Of this topic."""
    group: str | None = None
    """Of this group, `service.worker`."""
    error: str | None = None
    """With this class of error, such as `Permanent`."""
    type: str | None = None
    """Of this message type, such as `order.placed`."""
    key: str | None = None
    """Of this entity."""

    def choice(self, ids: Iterable[str] = ()) -> Choice:
        """The choice that this stands for."""
        return Choice(
            topic=self.topic, group=self.group, error=self.error, type=self.type, key=self.key, ids=tuple(ids)
        )


EVERYTHING = Which()


@dlq.command(
    name="list",
    help_epilogue="Examples:\n  sagalog dlq list\n  sagalog dlq list --error Permanent --limit 20 --json\n",
)
def list_(*, log: LogUrl, which: Which = EVERYTHING, limit: Count = 100, json: Json = False) -> None:
    """List the dead letters that wait, oldest of each partition first.

    Parameters
    ----------
    which
        Which of them.
    limit
        At most so many; how many there are is said in any case.
    """
    with opened(log) as found:
        letters = list(operations.find(found, which.choice()))
    facts = {"waiting": len(letters), "dead_letters": [_facts(letter) for letter in letters[:limit]]}
    more = f"\n{len(letters) - limit} more: raise --limit" if len(letters) > limit else ""
    tell(facts, _table(letters[:limit]) + more if letters else "no dead letters", json=json)


@dlq.command(name="show", help_epilogue="Examples:\n  sagalog dlq show orders.events/3/1041\n")
def show_(id: str, /, *, log: LogUrl, json: Json = False) -> None:
    """Show one dead letter with its content.

    Parameters
    ----------
    id
        As `list` names it: topic/partition/offset of its origin, or topic/partition/input:ID@OFFSET.
    """
    with opened(log) as found:
        letter = operations.show(found, id)
        value = value_of(found, letter)
        facts = {**_facts(letter), "metadata": _metadata(letter), "content": _content(found, value)}
    text = "\n".join(f"{name:>9}  {_plain(fact)}" for name, fact in facts.items())
    tell(facts, text, json=json)


@dlq.command(
    help_epilogue=(
        "Examples:\n  sagalog dlq redrive orders.events/3/1041\n"
        "  sagalog dlq redrive --group shop.mailer --error Permanent --dry-run\n"
        "  sagalog dlq redrive --everything --rate 20\n"
    )
)
def redrive(
    *ids: str,
    log: LogUrl,
    which: Which = EVERYTHING,
    everything: bool = False,
    limit: Count | None = None,
    rate: PerSecond | None = None,
    cap: Count = DEFAULT_CAP,
    dry_run: bool = False,
    json: Json = False,
) -> int:
    """Send dead letters back to the group that failed on them, and to no other.

    Ends with 1 if an id is of none that waits.

    Parameters
    ----------
    ids
        As `list` names them.
    which
        Which of them.
    everything
        All of them. Without it, name ids or say which.
    limit
        At most so many, the oldest first.
    rate
        At most so many a second.
    cap
        Leave alone what was redriven so often already.
    dry_run
        Only say what would be done.
    """
    choice = _chosen(which.choice(ids), everything=everything)
    pace = None if rate is None else Rate(rate, per=timedelta(seconds=1))
    with opened(log) as found:
        outcome = operations.redrive(found, choice, limit=limit, rate=pace, cap=cap, dry_run=dry_run)
    return _report("redriven", outcome, _missing(ids, outcome, limit), dry_run=dry_run, json=json)


@dlq.command(
    help_epilogue=(
        "Examples:\n  sagalog dlq discard orders.events/3/1041\n  sagalog dlq discard --error Permanent --dry-run\n"
    )
)
def discard(
    *ids: str,
    log: LogUrl,
    which: Which = EVERYTHING,
    everything: bool = False,
    limit: Count | None = None,
    dry_run: bool = False,
    json: Json = False,
) -> int:
    """Lay dead letters aside for good. They stay in their topic; no listing or redrive sees them any more.

    Ends with 1 if an id is of none that waits.

    Parameters
    ----------
    ids
        As `list` names them.
    which
        Which of them.
    everything
        All of them. Without it, name ids or say which.
    limit
        At most so many, the oldest first.
    dry_run
        Only say what would be done.
    """
    choice = _chosen(which.choice(ids), everything=everything)
    with opened(log) as found:
        outcome = operations.discard(found, choice, limit=limit, dry_run=dry_run)
    return _report("discarded", outcome, _missing(ids, outcome, limit), dry_run=dry_run, json=json)


def _chosen(choice: Choice, *, everything: bool) -> Choice:
    if choice == operations.ALL and not everything:
        raise NothingChosen
    return choice


def _missing(ids: Iterable[str], outcome: Outcome, limit: int | None) -> list[str]:
    """The ids that no dead letter has which waits; unknown where a limit left some out."""
    found = {letter.id for some in (outcome.done, outcome.capped, outcome.gone) for letter in some}
    return [] if len(outcome.done) == limit else [id for id in ids if id not in found]


def _report(what: str, outcome: Outcome, missing: list[str], *, dry_run: bool, json: bool) -> int:
    done, capped, gone = ([letter.id for letter in some] for some in (outcome.done, outcome.capped, outcome.gone))
    facts = {what: done, "capped": capped, "gone": gone, "missing": missing, "dry_run": dry_run}
    lines = [f"{'would be ' if dry_run else ''}{what}: {len(done)}", *(f"  {id}" for id in done[:20])]
    if len(done) > 20:
        lines.append(f"  … and {len(done) - 20} more")
    if capped:
        lines.append(f"left alone, redriven too often (raise --cap): {len(capped)}")
        lines.extend(f"  {id}" for id in capped[:20])
    if gone:
        lines.append(f"left alone, their values are not in the log any more (discard them): {len(gone)}")
        lines.extend(f"  {id}" for id in gone[:20])
    if missing:
        lines.append(f"no dead letter of these ids waits: {', '.join(missing[:20])}")
    tell(facts, "\n".join(lines), json=json)
    return 1 if missing else 0


def _facts(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.id,
        "group": letter.group,
        "type": operations.type_of(letter),
        "key": operations.entity_of(letter),
        "error": letter.error,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "redrives": letter.origin.redrives,
        "at": letter.at.isoformat(timespec="seconds"),
    }


def _table(letters: Iterable[DeadLetter]) -> str:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "group", "type", "key", "error", "reason", "tries", "at"):
        table.add_column(column, overflow="fold" if column == "id" else "ellipsis", no_wrap=column != "id")
    for letter in letters:
        facts = _facts(letter)
        shown = ("id", "group", "type", "key", "error", "reason", "attempts", "at")
        table.add_row(*(" ".join(str(facts[name]).split()) for name in shown))
    return text_of(table)


def _metadata(letter: DeadLetter) -> object:
    for name, value in letter.headers:
        if name == "meta":
            return _parsed(value)
    return None


def _parsed(text: bytes) -> object:
    try:
        found: object = codec.loads(text)
    except ValueError:
        return text.decode(errors="replace")
    return found


def _content(log: Log, value: bytes | None) -> object:
    """The fields of a message, or its bytes in hexadecimal if they cannot be read: that may be why it is here."""
    if value is None:
        return None
    try:
        with open_registry(log) as registry:
            schema = registry.find(schema_id_of(value))
        if schema is not None:
            read = (AvroCodec() if schema.format == "avro" else JsonCodec()).reader(schema)
            fields: object = codec.loads(codec.dumps(dict(read(value)), default=str))
            return fields
    except Exception:  # noqa: BLE001 - whatever is wrong with the bytes, they are shown
        return value.hex(" ")
    return value.hex(" ")


def _plain(fact: object) -> str:
    return codec.dumps(fact, ensure_ascii=False) if isinstance(fact, dict | list) else str(fact)
