"""The registry in a topic (rule E5): ids that every process agrees on."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from eventstore.errors import SchemasUnreadable
from eventstore.log import open_log
from eventstore.log.errors import Fenced
from eventstore.log.port import Log
from eventstore.log.records import TopicPartition
from eventstore.registry import TOPIC, TopicRegistry
from schemas import Incompatible
from schemas.schema import Schema

SCHEMAS = [Schema(f"type_{number}", 1, "json", json.dumps({"title": f"type_{number}"})) for number in range(40)]


@pytest.fixture
def log(unique: Callable[[str], str]) -> Log:
    """A log of this test's own."""
    return open_log(f"memory://{unique('registry')}")


def _entries(seed: int) -> list[tuple[str, Schema]]:
    """Some of the schemas, in some order: different ones for each seed, but overlapping."""
    return [(schema.name, schema) for schema in random.Random(seed).sample(SCHEMAS, 25)]


def _learned(log: Log) -> dict[int, Schema]:
    registry = TopicRegistry(log)
    found = ((id, registry.get(id)) for id in range(1, len(SCHEMAS) + 2))
    return {id: schema for id, schema in found if schema is not None}


def test_a_schema_keeps_its_id() -> None:
    """Registering again, here or elsewhere, gives the same."""
    log = open_log("memory://")
    first = TopicRegistry(log)
    id = first.register("type_0", SCHEMAS[0])

    assert first.register("type_0", SCHEMAS[0]) == id
    assert TopicRegistry(log).register("type_0", SCHEMAS[0]) == id
    assert TopicRegistry(log).get(id) == SCHEMAS[0]


def test_ids_are_dense_from_one(log: Log) -> None:
    """Each entry gets the next, an entry that is given twice gets one."""
    registry = TopicRegistry(log)
    entries = [(schema.name, schema) for schema in SCHEMAS[:3]]

    assert registry.register_many([*entries, entries[0]]) == [1, 2, 3, 1]
    assert registry.register("type_9", SCHEMAS[9]) == 4


def test_what_another_process_registered_is_known_after_refresh(log: Log) -> None:
    """`get` costs no I/O, so it does not look by itself."""
    one, other = TopicRegistry(log), TopicRegistry(log)
    id = one.register("type_0", SCHEMAS[0])
    assert other.get(id) is None

    other.refresh()

    assert other.get(id) == SCHEMAS[0]


def test_nothing_is_written_for_what_is_known(log: Log) -> None:
    """E5: read first. A process that starts with known types takes nobody's place as writer."""
    TopicRegistry(log).register_many(_entries(1))
    end = log.end_positions([TopicPartition(TOPIC, 0)], isolation="uncommitted")

    TopicRegistry(log).register_many(_entries(1))

    assert log.end_positions([TopicPartition(TOPIC, 0)], isolation="uncommitted") == end


def test_a_writer_reads_again_after_it_took_over(log: Log) -> None:
    """E5: being the only writer says nothing about what an earlier one wrote since this one had read."""
    late = TopicRegistry(log)
    opening = log.transactor

    def transactor(transactional_id: str) -> object:
        log.transactor = opening  # type: ignore[method-assign] # the test stands in between
        TopicRegistry(log).register("type_0", SCHEMAS[0])
        return opening(transactional_id)

    log.transactor = transactor  # type: ignore[method-assign,assignment] # the test stands in between

    assert late.register("type_1", SCHEMAS[1]) == 2
    assert late.get(1) == SCHEMAS[0]


def test_a_writer_checks_again_after_it_took_over(log: Log) -> None:
    """E5: what an earlier one wrote since this one had read may forbid what this one is about to write."""
    late = TopicRegistry(log)
    opening = log.transactor

    def transactor(transactional_id: str) -> object:
        log.transactor = opening  # type: ignore[method-assign]
        TopicRegistry(log).register("grown", _grown(a={"type": "string"}))
        return opening(transactional_id)

    log.transactor = transactor  # type: ignore[method-assign,assignment]

    with pytest.raises(Incompatible):
        late.register("grown", _grown(a={"type": "integer"}))
    assert len(TopicRegistry(log).versions("grown")) == 1


def test_a_writer_that_was_taken_over_waits_and_starts_again(log: Log) -> None:
    """Fenced is not an error of the caller's."""
    pauses: list[float] = []
    slow = TopicRegistry(log, pause=pauses.append)
    slow.register("type_0", SCHEMAS[0])
    TopicRegistry(log).register("type_1", SCHEMAS[1])

    assert slow.register("type_2", SCHEMAS[2]) == 3
    assert len(pauses) == 1


def test_a_writer_that_never_gets_through_says_so(log: Log) -> None:
    """It does not go on for ever."""
    registry = TopicRegistry(log, pause=lambda _: None)

    def transactor(transactional_id: str) -> object:
        raise Fenced(transactional_id)

    log.transactor = transactor  # type: ignore[method-assign,assignment] # the test stands in between

    with pytest.raises(Fenced):
        registry.register("type_0", SCHEMAS[0])


NEWER = b'{"v":2,"id":1,"subject":"a","name":"a","version":1,"format":"json","text":""}'


@pytest.mark.parametrize("value", [b"?", b'{"v":2}', NEWER])
def test_an_unreadable_record_is_a_named_error(log: Log, value: bytes) -> None:
    """It names the offset."""
    TopicRegistry(log)
    producer = log.producer()
    producer.produce(TOPIC, 0, b"1", value)
    producer.close()

    with pytest.raises(SchemasUnreadable, match="offset 0"):
        TopicRegistry(log)


def test_a_tombstone_takes_an_unreadable_record_away(log: Log) -> None:
    """As the error says."""
    TopicRegistry(log)
    producer = log.producer()
    producer.produce(TOPIC, 0, b"1", None)
    producer.close()

    assert TopicRegistry(log).register("type_0", SCHEMAS[0]) == 1


def _register_from_threads(log: Log) -> list[dict[str, int]]:
    def register(seed: int) -> dict[str, int]:
        registry, entries = TopicRegistry(log), _entries(seed)
        half = registry.register_many(entries[:12]) + [registry.register(*entry) for entry in entries[12:14]]
        ids = half + registry.register_many(entries[14:])
        registry.close()
        return {subject: id for (subject, _), id in zip(entries, ids, strict=True)}

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(register, range(8)))


def _check_agreement(log: Log, found: list[dict[str, int]]) -> None:
    known = _learned(log)
    assert sorted(known) == list(range(1, len(known) + 1))
    assert len({schema.name for schema in known.values()}) == len(known)
    for ids in found:
        assert all(known[id].name == subject for subject, id in ids.items())


def test_eight_threads_that_register_at_once_agree(log: Log) -> None:
    """Overlapping sets: the same ids for all, dense, no schema twice."""
    _check_agreement(log, _register_from_threads(log))


REGISTER = """
import json, sys
from eventstore.log import open_log
from eventstore.registry import TopicRegistry
from tests.eventstore.registry.test_topic_registry import _entries
log = open_log(sys.argv[1])
registry, entries = TopicRegistry(log), _entries(int(sys.argv[2]))
ids = registry.register_many(entries)
registry.close()
log.close()
print(json.dumps({subject: id for (subject, _), id in zip(entries, ids)}))
"""


def test_eight_processes_that_register_at_once_on_kafka_agree(kafka: str) -> None:
    """The same over a real broker, with fencing across processes."""
    url = f"kafka://{kafka}"
    processes = [
        subprocess.Popen([sys.executable, "-c", REGISTER, url, str(seed)], stdout=subprocess.PIPE, text=True)
        for seed in range(8)
    ]
    try:
        outputs = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()

    log = open_log(url)
    registry = TopicRegistry(log)
    for output in outputs:
        for subject, id in json.loads(output.splitlines()[-1]).items():
            schema = registry.get(id)
            assert schema is not None
            assert schema.name == subject
    log.close()


def test_modes_are_kept_in_the_topic(log: Log) -> None:
    """Every process checks by the same mode, also one that starts later."""
    one, other = TopicRegistry(log), TopicRegistry(log)
    one.set_mode(None, "full")
    one.set_mode("type_0", "none")

    other.refresh()
    assert (other.mode("type_0"), other.mode("type_1")) == ("none", "full")
    other.set_mode("type_0", None)

    assert TopicRegistry(log).mode("type_0") == "full"
    with pytest.raises(ValueError, match="give one of none, backward"):
        other.set_mode(None, "sideways")  # type: ignore[arg-type]


def _grown(**properties: object) -> Schema:
    text = json.dumps({"title": "grown", "properties": properties, "required": list(properties), "type": "object"})
    return Schema("grown", 1, "json", text)


def test_what_the_mode_forbids_is_not_registered(log: Log) -> None:
    """S10: refused with the field's name, before anything is written, whoever registered the earlier schema."""
    TopicRegistry(log).register("grown", _grown(a={"type": "string"}))
    registry = TopicRegistry(log)
    end = log.end_positions([TopicPartition(TOPIC, 0)], isolation="uncommitted")

    with pytest.raises(Incompatible, match=r"field a was string, is long \(TYPE_MISMATCH\)"):
        registry.register("grown", _grown(a={"type": "integer"}))

    assert log.end_positions([TopicPartition(TOPIC, 0)], isolation="uncommitted") == end
    assert registry.register("grown", _grown()) == 2


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def shared(request: pytest.FixtureRequest, unique: Callable[[str], str]) -> str:
    """A log in memory, or a real Kafka."""
    return f"kafka://{request.getfixturevalue('kafka')}" if request.param == "kafka" else f"memory://{unique('log')}"


def test_of_incompatible_schemas_registered_at_once_one_wins(shared: str, unique: Callable[[str], str]) -> None:
    """E5: a schema is checked by the one writer, after it read to the end, so no race lets two by."""
    subject, kinds = unique("raced"), ("string", "integer", "boolean", "array")
    log = open_log(shared)
    TopicRegistry(log).set_mode(subject, "full_transitive")

    def register(kind: str) -> str:
        text = json.dumps({"title": subject, "properties": {"a": {"type": kind}}, "required": ["a"], "type": "object"})
        with TopicRegistry(log) as registry:
            try:
                registry.register(subject, Schema(subject, 1, "json", text))
            except Incompatible as refused:
                return refused.problems[0].field  # type: ignore[union-attr]
        return "registered"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(register, kinds))

    assert outcomes == ["a", "a", "a", "registered"]
    assert len(TopicRegistry(log).versions(subject)) == 1
    log.close()
