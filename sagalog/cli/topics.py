"""`sagalog topics`: the topics of a log, with their partition counts and what the manifest says of them."""

from __future__ import annotations

from rich.table import Table

from eventstore.log import TopicDescription
from sagalog.cli.opening import LogUrl, opened
from sagalog.cli.output import show, text_of


def topics(*, log: LogUrl, json: bool = False) -> None:
    """List the topics of a log.

    The manifest holds the count of partitions that was frozen when a topic was made; a dash: it was made by other
    means.

    Parameters
    ----------
    log
        The log's URL.
    json
        Print one JSON object.
    """
    with opened(log) as looked_at:
        found = [topic for _, topic in sorted(looked_at.describe().items())]
    show({"topics": [_facts(topic) for topic in found]}, _text(found), json=json)


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
