"""What a handler may look like, what it is given, and what is refused when its module is imported."""

from __future__ import annotations

from typing import Any, cast

import pytest

from consumers.delivery import Context
from consumers.worker import Worker
from eventstore.log.records import Record
from eventstore.streams import Recorded
from schemas import Command, Metadata, Refusal, Reply
from schemas.definition import DefinitionError
from tests.consumers.worker.bench import Bench, Paid, Placed


class Mailbox:
    """A resource."""

    def __init__(self) -> None:
        self.sent: list[str] = []


class Sent(Reply):
    id: str


class Bounced(Refusal):
    why: str


class SendMail(Command[Sent, Bounced], to="mail", key="order"):
    order: str


def test_a_handler_gets_what_its_parameters_name(bench: Bench) -> None:
    """Context, metadata, record and recorded event come from the record, everything else from the service."""
    worker, seen, feed = (
        Worker("mailer", topics=["orders.events"]),
        list[tuple[Any, ...]](),
        bench.feed("orders.events"),
    )
    bench.host.resources[Mailbox] = mailbox = Mailbox()

    @worker.on
    async def confirm(
        event: Placed, context: Context, recorded: Recorded[Placed], metadata: Metadata, record: Record, *, box: Mailbox
    ) -> None:
        box.sent.append(event.order)
        seen.append((context, recorded, metadata, record))

    feed.send("order-1/7", Placed(order="1"))
    loop = bench.open(worker)
    bench.settle(loop)

    [(context, recorded, metadata, record)] = seen
    assert mailbox.sent == ["1"]
    assert (context.attempt, context.key, context.topic, context.offset) == (1, "order-1", "orders.events", 0)
    assert (recorded.stream, recorded.version, recorded.event) == ("order-1", 7, Placed(order="1"))
    assert recorded.metadata == metadata == context.metadata
    assert record.offset == 0


def test_a_union_registers_all_its_members(bench: Bench) -> None:
    """One handler may take several types."""
    worker, seen, feed = Worker("mailer", topics=["orders"]), list[object](), bench.feed()

    @worker.on
    async def both(event: Placed | Paid) -> None:
        seen.append(event)

    feed.send("a", Placed(order="a"))
    feed.send("a", Paid(order="a"))
    loop = bench.open(worker)
    bench.settle(loop)

    assert seen == [Placed(order="a"), Paid(order="a")]
    assert set(worker.handlers) == {Placed, Paid}


def test_a_resource_that_nobody_provides_is_named_at_the_start(bench: Bench) -> None:
    """A worker whose handler asks for what the service does not provide does not start."""
    worker = Worker("mailer", topics=["orders"])
    bench.feed()

    @worker.on
    async def confirm(event: Placed, box: Mailbox) -> None: ...

    with pytest.raises(LookupError, match=r"service\.provide"):
        bench.open(worker)


def test_a_type_is_handled_once() -> None:
    """A second handler of the same type is refused, with its line."""
    worker = Worker("mailer")

    @worker.on
    async def first(event: Placed) -> None: ...

    with pytest.raises(DefinitionError, match=r"test_worker_definition\.py:[0-9]+: Placed is handled twice by mailer"):

        @worker.on
        async def second(event: Placed | Paid) -> None: ...


def test_a_plain_function_is_refused() -> None:
    """Handlers are coroutine functions."""

    def confirm(event: Placed) -> None: ...

    with pytest.raises(DefinitionError, match="write `async def`"):
        Worker("mailer").on(cast(Any, confirm))


def test_an_answer_that_the_command_does_not_declare_is_refused() -> None:
    """A handler may return what its command declares, and nothing else."""
    worker = Worker("mail")

    @worker.on
    async def send(command: SendMail) -> Sent | Bounced:
        return Sent(id="1")

    async def wrong(command: SendMail) -> Sent | int:
        return 3

    with pytest.raises(DefinitionError, match="may answer int, which SendMail does not declare"):
        Worker("other").on(wrong)


def test_a_first_parameter_that_is_no_message_is_refused() -> None:
    """The first parameter's annotation names messages."""

    async def confirm(event: int) -> None: ...

    async def bare(event) -> None: ...  # type: ignore[no-untyped-def] # what is tested

    with pytest.raises(DefinitionError, match="is a message or a union"):
        Worker("mailer").on(confirm)
    with pytest.raises(DefinitionError, match="annotate 'event'"):
        Worker("mailer").on(bare)  # pyright: ignore[reportUnknownArgumentType] - what is tested


def test_the_plan_names_messages_and_loop() -> None:
    """A service learns from the plan which types to register, and gets one loop."""
    worker = Worker("mailer", topics=["orders"])

    @worker.on
    async def confirm(event: Placed) -> None: ...

    plan = worker.__component__()

    assert (plan.name, tuple(plan.messages), len(plan.loops)) == ("mailer", (Placed,), 1)


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"order": "random"}])
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    """Options that cannot be meant are refused where they are written."""
    with pytest.raises(ValueError, match="worker mailer"):
        Worker("mailer", **wrong)
