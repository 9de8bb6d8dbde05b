"""The log: one port, three engines, chosen by URL.

=============================  ==========================================  =============================
`kafka://host:9092,host:9092`  Apache Kafka, by confluent-kafka            production
`embedded:///folder`           RocksDB, one process, durable               first contact, small tools
`embedded:relative/folder`     the same, relative to the working folder
`memory://`                    lists; a new log each time                  unit tests, simulation
`memory://name`                lists; shared by name in the process
=============================  ==========================================  =============================

Options follow a question mark: `embedded:///data?fsync=commit&partitions=8`.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

from eventstore.clock import Clock
from eventstore.log.errors import BadLogUrl
from eventstore.log.local.broker import DEFAULT_PARTITIONS, MESSAGE_MAX_BYTES
from eventstore.log.partition import partition_of
from eventstore.log.port import Batch, GroupConsumer, Listener, Log, Member, Producer, Reader, Transactor, Use
from eventstore.log.records import Headers, Isolation, Position, Record, Topic, TopicDescription, TopicPartition
from schemas.suggestions import nearest

__all__ = [
    "Batch",
    "GroupConsumer",
    "Headers",
    "Isolation",
    "Listener",
    "Log",
    "Member",
    "Position",
    "Producer",
    "Reader",
    "Record",
    "Topic",
    "TopicDescription",
    "TopicPartition",
    "Transactor",
    "open_log",
    "partition_of",
]

_BROKERS = re.compile(r"[\w.-]+:\d+(,[\w.-]+:\d+)*(\?.*)?")
_LOCAL = {"memory": {"partitions", "message_max_bytes"}, "embedded": {"partitions", "message_max_bytes", "fsync"}}


def open_log(url: str, *, clock: Clock | None = None, must_exist: bool = False, use: Use = "any") -> Log:
    """Open the log that a URL names.

    `clock` is what the local engines take timestamps and session times from; Kafka has its own. `must_exist`: make no
    embedded folder that is not there. `use`: for what; of an embedded folder a `guest` lets a `host` be the owner.

    Raises:
        BadLogUrl: the URL names no engine, or names it wrongly.
        BrokerUnreachable: nobody answers at the address.
        LogMissing: the folder holds no log, and it must exist.
        LogError: the embedded folder cannot be opened.
    """
    scheme, separator, rest = url.partition(":")
    if not separator or (scheme not in _LOCAL and _BROKERS.fullmatch(url)):
        raise BadLogUrl(url, "it has no scheme", meant=_meant(url))
    address, _, query = rest.partition("?")
    options = _options(url, query)
    match scheme:
        case "memory":
            return _memory(url, address, options, clock)
        case "embedded":
            return _embedded(url, address, options, clock, must_exist, use)
        case "kafka":
            return _kafka(url, address, options)
        case _:
            near = nearest(scheme, ("kafka", "embedded", "memory"))
            raise BadLogUrl(url, f"there is no engine {scheme!r}", meant=f"{near}:{rest}" if near else "")


def _meant(url: str) -> str:
    """The URL of what was given without a scheme: brokers, or a folder."""
    if _BROKERS.fullmatch(url):
        return f"kafka://{url}"
    return f"embedded:{'//' if url.startswith('/') else ''}{url}" if "/" in url else ""


def _memory(url: str, address: str, options: dict[str, str], clock: Clock | None) -> Log:
    from eventstore.log.memory import open_memory

    partitions, message_max_bytes = _local_options(url, "memory", options)
    if not address.startswith("//"):
        raise BadLogUrl(url, "after `memory:` come two slashes")
    name = address[2:]
    if "/" in name:
        raise BadLogUrl(url, "the name of a memory log has no slash")
    return open_memory(url, name, clock=clock, partitions=partitions, message_max_bytes=message_max_bytes)


def _embedded(url: str, address: str, options: dict[str, str], clock: Clock | None, must_exist: bool, use: Use) -> Log:
    from eventstore.log.embedded import open_embedded

    partitions, message_max_bytes = _local_options(url, "embedded", options)
    fsync = options.get("fsync", "none")
    if fsync not in ("commit", "none"):
        raise BadLogUrl(url, f"fsync is `commit` or `none`, not {fsync!r}")
    if address.startswith("//") and not address.startswith("///"):
        raise BadLogUrl(
            url, "an absolute folder has three slashes (embedded:///data), a relative one none (embedded:data)"
        )
    folder = unquote(address[2:] if address.startswith("///") else address)
    if not folder or folder == "/":
        raise BadLogUrl(url, "it names no folder")
    return open_embedded(
        url,
        folder,
        clock=clock,
        partitions=partitions,
        message_max_bytes=message_max_bytes,
        fsync=fsync == "commit",
        must_exist=must_exist,
        use=use,
    )


def _kafka(url: str, address: str, options: dict[str, str]) -> Log:
    if not address.startswith("//") or not address[2:].strip("/"):
        raise BadLogUrl(url, "after `kafka:` come two slashes and host:port, several separated by commas")
    from eventstore.log.kafka import open as open_kafka

    return open_kafka(address[2:].rstrip("/"), options)


def _options(url: str, query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise BadLogUrl(url, f"its options are not of the form name=value&name=value ({error})") from None
    options = dict(pairs)
    if len(options) < len(pairs):
        raise BadLogUrl(url, "an option is given twice")
    return options


def _local_options(url: str, scheme: str, options: dict[str, str]) -> tuple[int, int]:
    known = _LOCAL[scheme]
    for name in options:
        if name not in known:
            raise BadLogUrl(url, f"{scheme}:// has no option {name!r}, it has {', '.join(sorted(known))}")
    return (
        _positive(url, options, "partitions", DEFAULT_PARTITIONS),
        _positive(url, options, "message_max_bytes", MESSAGE_MAX_BYTES),
    )


def _positive(url: str, options: dict[str, str], name: str, default: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise BadLogUrl(url, f"{name} is a positive number, not {text!r}")
    return int(text)
