"""The key topic: its records, its order, and what races in it come to (E4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventstore.clock import ManualClock, SystemClock
from eventstore.log import Log, open_log
from eventstore.log.errors import BrokerUnreachable
from eventstore.log.records import Isolation, Record, TopicPartition
from eventstore.subject_keys import LocalMasterKeys, SubjectForgotten, SubjectKeys, key_topic
from eventstore.subject_keys.following import CONFIRM_SECONDS, Following
from eventstore.subject_keys.keys import SEGMENT_MS
from eventstore.subject_keys.records import (
    ROLL,
    ForgottenRecord,
    KeyRecord,
    KeysUnreadable,
    Kind,
    decode,
    key_of_forgotten,
    key_of_key,
    value_of_forgotten,
    value_of_key,
)
from eventstore.subject_keys.replica import Replica
from eventstore.subject_keys.ring import (
    ASK_AGAIN_SECONDS,
    AT,
    KEYS_KEPT,
    TOPIC,
    TRUSTED_SECONDS,
    KeysNotFollowed,
)
from sagalog.cli import execute as run

ADA = "customer-17"
MASTERS = LocalMasterKeys({"m": bytes(32)})


@pytest.fixture
def log(unique: Callable[[str], str]) -> Iterator[Log]:
    """A log of this test's own."""
    opened = open_log(f"memory://{unique('keys')}")
    yield opened
    opened.close()


@pytest.fixture
def process(log: Log) -> Iterator[Callable[[], SubjectKeys]]:
    """Processes that hold the keys of the log; none follows, so each knows what it read itself."""
    made: list[SubjectKeys] = []

    def make() -> SubjectKeys:
        keys = SubjectKeys(log, MASTERS)
        keys.open()
        made.append(keys)
        return keys

    yield make
    for keys in made:
        keys.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class Cut:
    """A log whose connection can be cut off: nothing is heard, and questions are not answered."""

    def __init__(self, log: Log) -> None:
        self._log, self.off = log, False
        self.create, self.producer, self.reader = log.create, log.producer, log.reader

    def end_positions(self, partitions: Iterable[TopicPartition], *, isolation: Isolation) -> Mapping[Any, int]:
        """What a broker that is away does to a question."""
        if self.off:
            raise BrokerUnreachable("broker:9092", "cut off")
        return self._log.end_positions(partitions, isolation=isolation)


@pytest.fixture
def cut(log: Log) -> Cut:
    return Cut(log)


Process = Callable[[], SubjectKeys]


def test_who_writes_a_key_after_its_subject_was_forgotten_destroys_it(process: Process, log: Log) -> None:
    """One did not know that another had forgotten. The topic's order decides; no key stays behind."""
    one, late = process(), process()
    one.keys_for([ADA])
    one.forget(ADA)
    assert not late.is_forgotten(ADA)

    with pytest.raises(SubjectForgotten):
        late.keys_for([ADA])

    assert destroyed(log) == written(log)


def test_forgetting_reaches_keys_that_the_forgetter_did_not_know(process: Process, log: Log) -> None:
    """Two processes made a key each: both count, and both go."""
    one, other, third = process(), process(), process()
    first = one.keys_for([ADA])[ADA]
    write_key(other, ADA)
    assert len(written(log)) == 2

    third.forget(ADA)

    assert destroyed(log) == written(log)
    assert one.find(ADA, first[0]) == first[1]  # nobody told it yet
    one.catch_up()
    assert one.find(ADA, first[0]) is None


def test_a_forgetting_that_was_cut_short_is_finished_by_the_next_process(process: Process, log: Log) -> None:
    """It wrote that the subject is forgotten, and died before it destroyed the key."""
    dying = process()
    [key_id] = [key for key, _ in dying.keys_for([ADA]).values()]
    dying.write(key_of_forgotten(ADA), value_of_forgotten((key_id,)))
    assert destroyed(log) == set()

    process()

    assert destroyed(log) == written(log)


def test_a_reader_that_is_late_reads_on_before_it_redacts(process: Process) -> None:
    """Or a value would be taken for a forgotten one."""
    late, writer = process(), process()
    key_id, key = writer.keys_for([ADA])[ADA]

    assert late.find(ADA, key_id) == key


def test_a_key_that_is_known_to_be_gone_is_not_looked_for_again(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view that reads a million events of forgotten subjects asks the log nothing; a late starter neither."""
    keys = process()
    key_id, _ = keys.keys_for([ADA])[ADA]
    keys.forget(ADA)
    fresh = process()

    for each in (keys, fresh):
        monkeypatch.setattr(each, "catch_up", lambda: pytest.fail("it asked"))
        assert each.find(ADA, key_id) is None


def test_what_was_compacted_says_the_same(process: Process, log: Log) -> None:
    """Forgotten, remembered, forgotten again: nothing comes back when earlier records are gone."""
    keys = process()
    old = keys.keys_for([ADA, "other"])
    keys.forget(ADA)
    keys.remember(ADA)
    new = keys.keys_for([ADA])[ADA]
    log.erase(TOPIC)  # type: ignore[attr-defined]
    assert process().find(ADA, new[0]) == new[1]

    keys.forget(ADA)
    log.erase(TOPIC)  # type: ignore[attr-defined]

    fresh = process()
    assert fresh.find(ADA, new[0]) is fresh.find(ADA, old[ADA][0]) is None
    assert fresh.find("other", old["other"][0]) == old["other"][1]
    assert fresh.is_forgotten(ADA)
    assert written(log) == {key_of_key("other", old["other"][0])}


def test_unwrapped_keys_in_memory_are_bounded(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was unwrapped first goes first, and is unwrapped again."""
    monkeypatch.setattr("eventstore.subject_keys.ring.KEYS_KEPT", 3)
    keys = process()
    made = keys.keys_for([f"customer-{number}" for number in range(5)])

    assert KEYS_KEPT == 10_000
    assert len(keys._unwrapped) == 3
    assert [keys.find(subject, key_id) for subject, (key_id, _) in made.items()] == [key for _, key in made.values()]


def test_a_process_that_is_cut_off_stops_reading_after_a_minute(log: Log, cut: Cut, clock: ManualClock) -> None:
    """S8, E4: it would not learn who is forgotten. A named error, no redaction; over when it hears from the log."""
    keys = SubjectKeys(cut, MASTERS, clock=clock)  # type: ignore[arg-type] # the methods of a log that keys need
    keys.open()
    key_id, key = keys.keys_for([ADA])[ADA]
    cut.off = True
    clock.advance(timedelta(seconds=TRUSTED_SECONDS))
    assert keys.find(ADA, key_id) == key

    clock.advance(timedelta(seconds=1))
    with pytest.raises(KeysNotFollowed, match="what it said 61 s ago is the last that is known"):
        keys.find(ADA, key_id)
    cut.off = False
    with pytest.raises(KeysNotFollowed):
        keys.find(ADA, key_id)  # asked a moment ago: nobody blocks at each value
    clock.advance(timedelta(seconds=ASK_AGAIN_SECONDS))

    assert keys.find(ADA, key_id) == key
    SubjectKeys(log, MASTERS).forget(ADA)
    clock.advance(timedelta(seconds=TRUSTED_SECONDS + 1))
    assert keys.find(ADA, key_id) is None


def test_a_follower_that_is_cut_off_does_not_vouch_for_its_keys(cut: Cut, clock: ManualClock) -> None:
    """A reader that hears nothing cannot tell a quiet topic from a lost connection: the log is asked for its end."""
    keys = SubjectKeys(cut, MASTERS, clock=clock)  # type: ignore[arg-type] # the methods of a log that keys need
    keys.open()
    key_id, key = keys.keys_for([ADA])[ADA]
    following = Following(keys, clock)
    following.open()

    def later(seconds: float) -> bool:
        clock.advance(timedelta(seconds=seconds))
        following.step(0)
        return following.is_ready()

    assert all(later(CONFIRM_SECONDS) for _ in range(20))
    assert keys.find(ADA, key_id) == key
    cut.off = True
    assert later(TRUSTED_SECONDS - CONFIRM_SECONDS)
    assert not later(CONFIRM_SECONDS + 1)
    with pytest.raises(KeysNotFollowed):
        keys.find(ADA, key_id)
    cut.off = False

    assert later(1)
    assert keys.find(ADA, key_id) == key
    following.stop(0)


def test_a_follower_that_does_not_reach_the_end_does_not_vouch_either(
    process: Process, log: Log, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log answers, and yet what was written does not come: its reader's connection is the one that is lost."""
    keys = SubjectKeys(log, MASTERS, clock=clock)
    keys.open()
    following = Following(keys, clock)
    following.open()
    following.step(0)
    process().forget(ADA)

    def hears_nothing(*_: object) -> list[Record]:
        return []

    monkeypatch.setattr(following._reader, "read", hears_nothing)
    for _ in range(8):
        clock.advance(timedelta(seconds=CONFIRM_SECONDS))
        following.step(0)
    assert not following.is_ready()

    monkeypatch.undo()
    following.step(0)
    clock.advance(timedelta(seconds=CONFIRM_SECONDS))
    following.step(0)
    assert following.is_ready()
    following.stop(0)


def test_a_segment_is_rolled_once_its_time_is_over(process: Process, log: Log) -> None:
    """Kafka cleans no open segment: a record is appended after the segment's time, once, and none without need."""
    keys = process()
    keys.keys_for([ADA])
    at = Later()
    following = Following(keys, at)
    kafka_like(keys)
    following.open()
    following.step(0)
    at.later_ms = 2 * SEGMENT_MS
    following.step(0)
    assert rolls(log) == 0  # nothing was destroyed

    keys.forget(ADA)
    at.later_ms = SEGMENT_MS // 2
    following.step(0)
    assert rolls(log) == 0
    at.later_ms = 2 * SEGMENT_MS
    following.step(0)
    assert rolls(log) == 1
    keys.newest_ms += at.later_ms  # the record's time, by a broker whose clock moved too
    following.step(0)
    following.step(0)
    following.stop(0)

    assert rolls(log) == 1


def test_the_topic_has_short_segments_and_a_bound() -> None:
    """E4: what is set at its creation."""
    topic = key_topic()

    assert topic.compacted
    assert topic.partitions == 1
    assert int(topic.settings["segment.ms"]) <= 10 * 60 * 1000
    assert int(topic.settings["max.compaction.lag.ms"]) <= 60 * 60 * 1000


@given(st.binary(max_size=60), st.none() | st.binary(max_size=60))
def test_any_bytes_are_a_record_or_a_named_error(key: bytes, value: bytes | None) -> None:
    """The decoder raises ValueError only, which the ring names."""
    for one in (key, b"k" + key, b"f" + key, b"k" + key + b"\0" + bytes(16)):
        for other in (value, None if value is None else b"\x01" + value):
            try:
                decode(one, other)
            except ValueError:
                continue


@given(st.text(min_size=1, max_size=20), st.binary(min_size=16, max_size=16), st.binary(min_size=1, max_size=80))
def test_records_come_back(subject: str, key_id: bytes, wrapped: bytes) -> None:
    """Whatever the subject is called, U+0000 included."""
    key = key_of_key(subject, key_id)
    assert decode(key, value_of_key(Kind.RENEWED, "m", wrapped)) == KeyRecord(
        subject, key_id, Kind.RENEWED, "m", wrapped
    )
    assert decode(key, None) == KeyRecord(subject, key_id, Kind.FIRST, "", None)
    assert decode(key_of_forgotten(subject), value_of_forgotten((key_id,))) == ForgottenRecord(subject, (key_id,))
    assert decode(*ROLL) is None


class History:
    """What the key topic holds about one subject, and what whoever reads all of it knows."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, KeyRecord | ForgottenRecord]] = []
        self.full, self._master, self._known = Replica(), "m", list[bytes]()

    def do(self, what: str, key_id: bytes) -> None:
        """A first or a renewed key, forgetting, a tombstone, another master, wrapping keys anew: k, r, f, t, m, w."""
        if what == "f":
            self._add(b"f", ForgottenRecord(ADA, tuple(self._known)))
        elif what == "m":
            self._master += "m"
        elif what == "w":
            for _, one, _ in list(self.full.wrapped_by_others(self._master)):
                self._key(one, Kind.RENEWED if self.full.was_forgotten(ADA) else Kind.FIRST)
        elif what == "t":
            self._destroy(key_id)
        elif key_id not in self._known:
            self._known.append(key_id)
            self._key(key_id, Kind.FIRST if what == "k" else Kind.RENEWED)

    def cleaned(self, until: int) -> Replica:
        """What remains to be known when Kafka's cleaner took the records before one away that have later ones there."""
        made, last = Replica(), {key: place for place, (key, _) in enumerate(self.records[:until])}
        for place, (key, record) in enumerate(self.records):
            if place >= until or last[key] == place:
                made.apply(record)
        return made

    def _destroy(self, key_id: bytes) -> None:
        if self.records and isinstance(self.records[-1][1], ForgottenRecord) and key_id in self._known:
            self._add(key_id, KeyRecord(ADA, key_id, Kind.FIRST, "", None))

    def _key(self, key_id: bytes, kind: Kind) -> None:
        self._add(key_id, KeyRecord(ADA, key_id, kind, self._master, b"w"))

    def _add(self, key: bytes, record: KeyRecord | ForgottenRecord) -> None:
        self.records.append((key, record))
        self.full.apply(record)


@given(st.lists(st.tuples(st.sampled_from("krftmw"), st.integers(0, 3)), max_size=12), st.integers(0, 30))
@example([("f", 0), ("r", 0), ("m", 0), ("k", 1), ("w", 0)], 30)
@example([("f", 0), ("r", 0), ("m", 0), ("k", 1), ("w", 0)], 4)
def test_compaction_changes_nothing(steps: list[tuple[str, int]], cleaned: int) -> None:
    """Of any history, cleaned up to any record, what is left says what all of it says: who has which key, who is
    forgotten, and nothing that is in use is left over to be destroyed."""
    history = History()
    for what, which in steps:
        history.do(what, bytes([which]) * 16)
    full, compacted = history.full, history.cleaned(cleaned)

    assert set(compacted.key_ids(ADA)) == set(full.key_ids(ADA))
    assert compacted.is_forgotten(ADA) == full.is_forgotten(ADA)
    assert not {key_id for _, key_id in compacted.left(ADA)} & set(compacted.key_ids(ADA))


def test_a_foreign_record_is_told(process: Process, log: Log) -> None:
    """With topic and offset."""
    process()
    log.producer().send(TOPIC, 0, b"hello", b"\x01").result(5)

    with pytest.raises(KeysUnreadable, match=r"sagalog\.keys holds an unreadable record at offset 0"):
        process()


def test_the_command_line_forgets_and_rotates(
    process: Process, log: Log, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`sagalog keys`, on a log that is there."""
    monkeypatch.setenv("SAGALOG_MASTER_KEY", "n:" + "QUJD" * 10 + "QUI=" + ",m:" + "A" * 43 + "=")
    keys = process()
    made = keys.keys_for([ADA, "other"])

    assert run(["keys", "rotate", "--log", log.url]) == 0
    assert "2 keys wrapped anew" in capsys.readouterr().out
    assert run(["keys", "forget", ADA, "--log", log.url]) == 0
    assert run(["keys", "generate", "--id", "new"]) == 0

    assert capsys.readouterr().out.splitlines()[-1].startswith("new:")
    keys.catch_up()
    assert keys.find(ADA, made[ADA][0]) is None
    assert keys.find("other", made["other"][0]) == made["other"][1]


class Later(SystemClock):
    """A clock that is ahead."""

    later_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.later_ms


class _Kafka:
    """A log that does not erase on demand."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.reader, self.end_positions, self.producer = log.reader, log.end_positions, log.producer


def kafka_like(keys: SubjectKeys) -> None:
    """Let the keys think that their log is a Kafka."""
    keys.log = _Kafka(keys.log)  # type: ignore[assignment]


def write_key(keys: SubjectKeys, subject: str) -> None:
    """What a process writes that knows of no key."""
    keys.write(key_of_key(subject, b"x" * 16), value_of_key(Kind.FIRST, "m", b"w"))


def records(log: Log) -> list[Record]:
    """What the topic holds."""
    end, reader = log.end_positions([AT])[AT], log.reader({AT: 0})
    found: list[Record] = []
    while reader.position(AT) < end:
        found += reader.read(1_000, 0.1)
    reader.close()
    return found


def written(log: Log) -> set[bytes | None]:
    """The record keys under which keys stand."""
    return {record.key for record in records(log) if record.value is not None and (record.key or b"")[:1] == b"k"}


def destroyed(log: Log) -> set[bytes | None]:
    """The record keys that have tombstones."""
    return {record.key for record in records(log) if record.value is None}


def rolls(log: Log) -> int:
    """How many records say nothing."""
    return sum(record.key == ROLL[0] for record in records(log))


def test_what_is_destroyed_within_the_millisecond_of_an_erasure_is_erased_too(process: Process, log: Log) -> None:
    """The follower may see that a subject was forgotten, and erase, before the key's tombstone is there."""
    keys = process()
    key_id, _ = keys.keys_for([ADA])[ADA]
    following = Following(keys, SystemClock())
    following.open()
    keys.newest_ms = keys.superseded_ms = 2**60  # no record is later than another
    keys.write(key_of_forgotten(ADA), value_of_forgotten((key_id,)))
    following.step(0)
    assert written(log)

    keys.forget(ADA)
    following.step(0)
    following.stop(0)

    assert written(log) == set()
