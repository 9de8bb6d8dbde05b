"""`sagalog topics`: the topics of a log, with their partition counts, what the manifest says of them, and whether their
settings are those that are wanted."""

from __future__ import annotations

from cyclopts import App
from rich.table import Table

from eventstore.log import TopicDescription
from eventstore.log.drift import MENDING, Drift, drift_of, mend
from sagalog.cli.opening import Json, LogUrl, opened
from sagalog.cli.output import show, text_of

topics = App(
    name="topics",
    help="List the topics of a log, or check their settings.",
    help_epilogue=(
        "The column manifest compares a topic with the count of partitions that was frozen when it was made: "
        "as frozen; CHANGED, and services refuse to start; or a dash, for a topic that was made by other means.\n\n"
        "Examples:\n  sagalog topics\n  sagalog topics --log embedded:///data --json\n"
    ),
)


@topics.default
def list_(*, log: LogUrl, json: Json = False) -> None:
    """List the topics of a log.

    The manifest holds the count of partitions that was frozen when a topic was made; a dash: it was made by other
    means.
    """
    with opened(log) as looked_at:
        found = [topic for _, topic in sorted(looked_at.describe().items())]
    show({"topics": [_facts(topic) for topic in found]}, _text(found), json=json)


@topics.command(
    help_epilogue=(
        "Examples:\n  sagalog topics check --log kafka://localhost:9092\n  sagalog topics check --fix\n"
        "  sagalog topics check --json\n"
    )
)
def check(*, log: LogUrl, fix: bool = False, json: Json = False) -> int:
    """Compare the settings of topics with those that the services want. Ends with 1 if some differ, and stay so.

    A topic whose settings cannot be changed is named with the reason; the others are changed all the same.

    Parameters
    ----------
    fix
        Give the topics the settings that are wanted.
    """
    with opened(log) as looked_at:
        drifts = drift_of(looked_at)
        refused = mend(looked_at, drifts) if fix else {}
    failed = {topic: str(error) for topic, error in refused.items()}
    facts = {"drift": [drift._asdict() for drift in drifts], "fixed": fix and not failed, "failed": failed}
    text = "\n".join([_drift_text(drifts, fix=fix), *(f"NOT changed: {topic}: {why}" for topic, why in failed.items())])
    show(facts, text, json=json)
    return 1 if failed or (drifts and not fix) else 0


def _facts(topic: TopicDescription) -> dict[str, object]:
    return {"name": topic.name, "partitions": topic.partitions, "manifest": topic.manifest_partitions, "id": topic.id}


def _text(found: list[TopicDescription]) -> str:
    if not found:
        return "no topics"
    table = Table(box=None, pad_edge=False)
    table.add_column("topic", no_wrap=True)
    table.add_column("partitions", justify="right")
    table.add_column("manifest")
    for topic in found:
        table.add_row(topic.name, str(topic.partitions), _manifest(topic))
    return text_of(table)


def _manifest(topic: TopicDescription) -> str:
    frozen = topic.manifest_partitions
    if frozen is None:
        return "-"
    return "as frozen" if frozen == topic.partitions else f"CHANGED from {frozen}: services refuse to start"


def _drift_text(drifts: list[Drift], *, fix: bool) -> str:
    if not drifts:
        return "all topics are as wanted"
    table = Table(box=None, pad_edge=False)
    for title in ("topic", "setting", "wanted", "was" if fix else "is"):
        table.add_column(title, no_wrap=True)
    for drift in drifts:
        table.add_row(drift.topic, drift.setting, drift.wanted, "-" if drift.actual is None else drift.actual)
    return text_of(table) if fix else f"{text_of(table)}\n\nTo change them: {MENDING}"
