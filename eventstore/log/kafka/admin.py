"""Ask the cluster: topics, positions, groups. Every call is bounded by `api_timeout`, and may come from any thread.

A broker that starts may answer that the cluster has no brokers. librdkafka then forgets those it knew, and an admin
client asks nobody any more (its issue 5301). So one that reached nobody is replaced. Whoever asks holds on to the
client until it has the answer: futures of one that is gone are never resolved.
"""

# pyright: reportPrivateImportUsage=false
# confluent_kafka.admin says what it offers in its documentation, not in an __all__.

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, TypeVar

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import (  # type: ignore[attr-defined] # imported there, not defined
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from eventstore.log.errors import LogError, TopicMissing
from eventstore.log.kafka.diagnostics import Diagnostics
from eventstore.log.kafka.errors import MISSING, UNREACHABLE, cause_of, error_of, general
from eventstore.log.kafka.offsets import EARLIEST, LATEST, asked
from eventstore.log.kafka.patience import Patience
from eventstore.log.kafka.settings import Settings
from eventstore.log.records import Isolation, Position, TopicPartition, is_same_setting

T = TypeVar("T")

PAUSE = 0.02
"""Seconds between two looks at something that is about to change."""
LEADERLESS = KafkaError._NOENT
"""librdkafka found no leader, or no such topic."""
SETTLING = frozenset(
    {
        LEADERLESS,
        KafkaError._DESTROY_BROKER,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)
"""The cluster is rearranging itself: ask again."""
MEMBERLESS = frozenset({ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD})
TROUBLED_SECONDS = 5.0
"""Consumers that hear nothing ask every other second whether the cluster answers anybody."""
LONGEST_LIFE_SECONDS = 10.0
"""Of a client that reaches nobody, unless a call alone may take longer."""


class Admin:
    """The cluster, as the engine needs to see it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._diagnostics = Diagnostics("admin")
        self._patience = Patience(settings.address, settings.api_timeout)
        self._trouble = "", 0.0
        self._lock = Lock()
        self._client, self._made_at = self._made(), time.monotonic()
        self._life = settings.api_timeout
        """How long a client that reaches nobody is kept, in seconds. The next one gets more: it may need longer than a
        call to connect."""

    def _made(self) -> Any:
        config: dict[str, Any] = self._settings.admin() | {"error_cb": self._diagnostics.error}
        return AdminClient(config, logger=self._diagnostics)

    def brokers(self) -> int:
        """How many brokers the cluster has."""
        with self._mapped("ask for the brokers") as client:
            return len(client.list_topics(timeout=self._settings.api_timeout).brokers)

    def names(self) -> list[str]:
        """All topics but Kafka's own, sorted."""
        with self._mapped("list the topics") as client:
            topics = client.list_topics(timeout=self._settings.api_timeout).topics
        return sorted(name for name in topics if not name.startswith("__"))

    def answers(self, topic: str, timeout: float) -> bool:
        """Whether the cluster says something of this topic, be it that there is none, within `timeout` seconds."""
        try:
            with self._mapped(f"look at {topic}") as client:
                client.list_topics(topic, timeout=timeout)
        except LogError as error:
            self._trouble = str(error), time.monotonic()
            return False
        return True

    def trouble(self) -> str:
        """Why it last gave no answer to `answers`, if that was a moment ago; else empty. Any thread."""
        why, at = self._trouble
        return why if time.monotonic() - at < TROUBLED_SECONDS else ""

    def describe(self, names: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Id and partition count of each of these topics that exists."""
        if not names:
            return {}
        deadline = time.monotonic() + self._settings.api_timeout
        while True:
            with self._mapped("describe topics") as client:
                futures = client.describe_topics(
                    TopicCollection(list(names)), request_timeout=self._settings.api_timeout
                )
                try:
                    described = {name: self._unless(MISSING, future) for name, future in futures.items()}
                except KafkaException as raised:
                    if time.monotonic() >= deadline or error_of(raised).code() not in SETTLING:
                        raise
                    time.sleep(PAUSE)
                    continue
            return {name: (str(found.topic_id), len(found.partitions)) for name, found in described.items() if found}

    def configuration(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """The settings in force of each of these topics that exists."""
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}
        with self._mapped("ask for the settings of topics") as client:
            futures = client.describe_configs(resources, request_timeout=self._settings.api_timeout)
            found = {resource.name: self._unless(MISSING, future) for resource, future in futures.items()}
        return {
            name: {each: entry.value for each, entry in entries.items() if entry.value is not None}
            for name, entries in found.items()
            if entries is not None
        }

    def configure(self, topic: str, settings: Mapping[str, str]) -> None:
        """Change settings of a topic, and wait until the cluster says that they are in force."""
        change: Any = AlterConfigOpType.SET
        entries = [ConfigEntry(name, value, incremental_operation=change) for name, value in settings.items()]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        client = self._client
        try:
            futures = client.incremental_alter_configs([resource], request_timeout=self._settings.api_timeout)
            futures[resource].result()
        except KafkaException as raised:
            error = error_of(raised)
            if error.code() in MISSING:
                raise TopicMissing(topic) from raised
            raise self._general(error, f"change settings of {topic}", topic) from raised

        def is_changed() -> bool:
            found = self.configuration([topic]).get(topic, {})
            return all(is_same_setting(value, found.get(name)) for name, value in settings.items())

        self._wait(is_changed, f"see {topic} changed")

    def create(self, topics: Sequence[NewTopic]) -> None:
        """Create topics, and wait until the cluster shows them. Those that exist meanwhile stay as they are."""
        if not topics:
            return
        with self._mapped("create topics") as client:
            futures = client.create_topics(list(topics), request_timeout=self._settings.api_timeout)
            for future in futures.values():
                self._unless({KafkaError.TOPIC_ALREADY_EXISTS}, future)
        names = [topic.topic for topic in topics]
        self._wait(lambda: self._are_led(names), f"see the new topics {', '.join(names)}")

    def delete(self, names: Sequence[str]) -> None:
        """Delete topics, and wait until the cluster shows them no more. Missing ones are ignored."""
        if not names:
            return
        with self._mapped("delete topics") as client:
            futures = client.delete_topics(list(names), request_timeout=self._settings.api_timeout)
            for future in futures.values():
                self._unless(MISSING, future)
        self._wait(lambda: not self.describe(names), f"see {', '.join(names)} go")

    def described(self, names: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Id and number of partitions of topics that were created: a broker may not have heard of them yet."""
        found: dict[str, tuple[str, int]] = {}

        def are_known() -> bool:
            found.update(self.describe(names))
            return found.keys() >= set(names)

        self._wait(are_known, f"see {', '.join(names)} described")
        return found

    def starts(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """First positions."""
        return self._offsets(partitions, EARLIEST, "uncommitted")

    def ends(self, partitions: Iterable[TopicPartition], isolation: Isolation) -> dict[TopicPartition, int]:
        """Last stable offsets, or ends of all that was written."""
        return self._offsets(partitions, LATEST, isolation)

    def groups(self, *, live: bool) -> list[str]:
        """The names of groups, sorted; `live`: of those with members.

        A coordinator that starts is waited for: it does not know its groups yet.
        """
        deadline = time.monotonic() + self._settings.api_timeout
        while True:
            late = time.monotonic() >= deadline
            with self._mapped("list the groups") as client:
                found = client.list_consumer_groups(request_timeout=self._settings.api_timeout).result()
            errors = [each if isinstance(each, KafkaError) else error_of(each) for each in found.errors]
            if not errors:
                return sorted(one.group_id for one in found.valid if not live or one.state not in MEMBERLESS)
            if late or any(error.code() not in SETTLING for error in errors):
                raise self._general(errors[0], "list the groups")
            time.sleep(PAUSE)

    def _offsets(
        self, partitions: Iterable[TopicPartition], spec: Any, isolation: Isolation
    ) -> dict[TopicPartition, int]:
        wanted: list[TopicPartition] = list(partitions)
        found: dict[TopicPartition, int] = {}
        deadline = time.monotonic() + self._settings.api_timeout
        while wanted:
            late = time.monotonic() >= deadline
            answers = asked(self._client, wanted, spec, isolation, self._settings.api_timeout)
            wanted = []
            for partition, answer in answers.items():
                if isinstance(answer, int):
                    found[partition] = answer
                    continue
                if answer.code() == LEADERLESS and not self.describe([partition.topic]):
                    raise TopicMissing(partition.topic)
                if late or answer.code() not in SETTLING:
                    raise self._general(answer, f"read the ends of {partition.topic}", partition.topic)
                wanted.append(partition)
            if wanted:
                time.sleep(PAUSE)
                self._look_again()
        return found

    def _look_again(self) -> None:
        """Refresh what librdkafka remembers of leaders: a list of offsets never does, however often it is refused."""
        with suppress(KafkaException):
            self._client.list_topics(timeout=self._settings.api_timeout)

    def _are_led(self, names: Sequence[str]) -> bool:
        with self._mapped("look at the new topics") as client:
            topics = client.list_topics(timeout=self._settings.api_timeout).topics
        shown = [topics[name] for name in names if name in topics and topics[name].error is None]
        return len(shown) == len(names) and all(
            topic.partitions and all(partition.leader >= 0 for partition in topic.partitions.values())
            for topic in shown
        )

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + self._settings.api_timeout
        while not done():
            if time.monotonic() >= deadline:
                raise LogError(f"could not {what} within {self._settings.api_timeout:g} s: look at the brokers' logs")
            time.sleep(PAUSE)

    @staticmethod
    def _unless(codes: Iterable[int], future: Future[Any]) -> Any:
        """The result; None if it failed with one of the codes."""
        try:
            return future.result()
        except KafkaException as raised:
            if error_of(raised).code() in codes:
                return None
            raise

    @contextmanager
    def _mapped(self, what: str) -> Generator[Any]:
        """The client, whose errors become ours."""
        try:
            with self._patience.waiting():
                yield self._client
            self._life = self._settings.api_timeout
        except KafkaException as raised:
            error = self._general(error_of(raised), what)
            raise error from cause_of(error, raised)

    def _general(self, error: KafkaError, what: str, topic: str = "") -> LogError:
        self._client.poll(0)
        cause = self._diagnostics.last_error if error.code() in UNREACHABLE else None
        if error.code() in UNREACHABLE:
            self._replace()
        return general(cause or error, what=what, address=self._settings.address, topic=topic)

    def _replace(self) -> None:
        """Begin anew, unless what reached nobody was an earlier client's call."""
        with self._lock:
            if time.monotonic() - self._made_at >= self._life:
                self._client, self._made_at = self._made(), time.monotonic()
                self._life = max(self._life, min(2 * self._life, LONGEST_LIFE_SECONDS))


def places_of(positions: Mapping[TopicPartition, Position]) -> list[Place]:
    """Positions as librdkafka has them."""
    return [Place(at.topic, at.partition, to.offset, to.metadata) for at, to in positions.items()]
