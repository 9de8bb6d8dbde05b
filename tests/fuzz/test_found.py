"""Bytes on which a decoder once failed by accident: they are refused by name now, or read as what they are."""

from __future__ import annotations

import pytest

from consumers.origin import REDRIVE, origin_of
from eventstore.log.local.remote import messages as m
from eventstore.log.records import Record
from eventstore.processor.guard import Guard, Verdict
from eventstore.processor.inputs import Input
from eventstore.processor.parts import Part, Parts
from eventstore.registry_errors import RegistryRefused
from eventstore.registry_http import HttpRegistry
from eventstore.state import open_state
from schemas import Metadata
from tests.fuzz.on_sockets import foreign, frame_of
from tests.fuzz.test_decoders import DECODERS

_BY_NAME = {decoder.name: decoder for decoder in DECODERS}
_NO_TYPE = b'{"name":"sample.flat","sagalog.version":1,"type":"nonsense"}'


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("outcome", b"\1"),
        ("outcome", b"\2" + bytes(17)),
        ("timer", b""),
        ("timer's key", b"tno separator"),
        ("timer's key", b"t\xff\0n"),
        ("position of a state", bytes(40)),
        ("head of a stream", b"\1\0"),
        ("event of a stream", b"\1" + bytes(16) + b"\0\0\0\x09meta"),
        ("erasure", b"\1" + bytes(8)),
        ("last tombstone", b"\1"),
        ("stage of a saga's step", b""),
        ("state of a key", b"\1"),
        ("stashed input", b"\1\xc1"),
        ("stashed input", b"\1\x94\xc0\xc0\x90\x00"),
        ("key of a view's row", b"text without its end"),
        ("number as a view's key", b"\0"),
        ("text as a view's key", b"\xff"),
        ("row of a view", b"\1{"),
        ("row of a view", b""),
        ("key of an event", b"no version"),
        ("key of an event", b"\xff/1"),
        ("header of an event", b"other"),
        ("event to restore, its key", b"s/-1"),
        ("event to restore, its metadata", b'{"v":1,"id":"1","done":{"step":-1,"input":"1"}}'),
        ("stage to restore", b"\1"),
        ("acknowledgement map", b"1;zzzzzzzzzz;0:zzzzzzzzz"),
        ("acknowledgement map", b"1;5;-3"),
        ("acknowledgement map", b"1;5;9"),
        ("schema in the registry's topic", b'{"v":1,"id":1,"subject":"\xff"}'),
        ("entry of the manifest", b'{"v":2,"partitions":1}'),
        ("entry of the manifest", b'{"v":1,"partitions":1,"settings":{"\xff":""}}'),
        ("master keys", "a:\u00e9".encode()),
        ("avro writer's schema", _NO_TYPE),
        ("avro schema to compare", _NO_TYPE),
        ("export as JSON lines", b'{"kind":"export","store":"\xff"}\n'),
        ("record of an embedded log", b"\1\xc1"),
        ("group in an embedded log", b"G"),
        ("note of an embedded folder's owner", b'{"v":1}'),
        ("committed Avro schema", b"\xff"),
        ("request to an embedded log", b"\0\0\0\2\1\xc1"),
        ("question about a table", b"\1\xc1"),
        ("address in a saga's history", b"{"),
    ],
)
def test_it_is_refused_by_name(name: str, data: bytes) -> None:
    """Neither read as if it were right, nor a KeyError or struct.error."""
    assert not _BY_NAME[name].try_on(data)


@pytest.mark.parametrize(
    "read",
    [
        m.Read([], 0, 0.0),
        m.Read([("t", 0, -1)], 1, 0.0),
        m.Read([("t", -1, 0)], 1, 0.0),
        m.Read([], 1, 1e300),
        m.Read([], 1, float("nan")),
    ],
)
def test_an_owner_refuses_a_read_that_cannot_be(read: m.Read) -> None:
    """A thread of the owner's died of it."""
    assert not _BY_NAME["request to an embedded log"].try_on(frame_of(read))


def test_a_header_that_no_redrive_wrote_says_nothing_of_an_origin() -> None:
    """A foreign producer's header does not stop the worker: the record is from where it was read."""
    record = Record("orders", 3, 17, 0, b"k", b"v", ((REDRIVE, b"1 many of them"),))

    assert str(origin_of(record)) == "orders/3/17"


def test_a_role_without_a_saga_is_an_ordinary_command() -> None:
    """Attributes are anybody's: the guard asks only for what names a saga's step (P2)."""
    guard = Guard(open_state("memory://").open("p", "i"))

    assert guard.ask(Metadata(id="1", attributes={"role": "undo"})) is Verdict.DECIDE


@pytest.mark.parametrize(("number", "of"), [(7, 2), (-1, 2), (0, 0)])
def test_a_part_beyond_its_whole_is_none(number: int, of: int) -> None:
    """It becomes poison at once (K7), and does not wait for parts that cannot come."""
    part = Part(number=number, of=of, data=b"x")

    assert Parts().add(Input("k", part, Metadata(id="1")), part, 0) == b""


def test_parts_that_disagree_about_their_number_do_not_make_a_whole() -> None:
    """The first of two, and the third of three, are not the two of anything."""
    parts, metadata = Parts(), Metadata(id="1")
    last, first = Part(number=2, of=3, data=b"c"), Part(number=0, of=2, data=b"a")
    parts.add(Input("k", last, metadata), last, 0)

    assert parts.add(Input("k", first, metadata), first, 0) is None


@pytest.mark.parametrize("body", [b"[1]", b"7", b'{"id":"1"}', b'{"schema":{}}'])
def test_a_registry_that_answers_something_else_is_named(body: bytes) -> None:
    """A proxy's page or another service at the URL is RegistryRefused, not a KeyError somewhere."""
    server = foreign()
    server.body = body

    with (
        HttpRegistry(f"http://127.0.0.1:{server.server_port}", patience_seconds=0.1) as registry,
        pytest.raises(RegistryRefused),
    ):
        registry.find(1)
