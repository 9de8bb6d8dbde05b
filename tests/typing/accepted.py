"""What the checkers infer: every line accepted, by both."""

from datetime import timedelta
from typing import Any, assert_type

from pydantic import BaseModel

from sagalog import (
    NO_STREAM,
    Aggregate,
    Command,
    Completed,
    Context,
    DecideContext,
    Event,
    EventStore,
    Participant,
    Recorded,
    Refusal,
    Reply,
    Retry,
    Run,
    Saga,
    SagaClient,
    Service,
    Table,
    Undo,
    Undone,
    View,
    Worker,
    child,
    decide,
    evolve,
    given,
    on,
    result,
    step,
    table,
    wait_for,
    condition,
    when,
)


class Input(BaseModel):
    id: str


class Out(BaseModel):
    a: int


class Done(Reply):
    ref: str


class Done2(Reply):
    ref2: str


class No(Refusal):
    why: str


class No2(Refusal):
    why: str


class Do(Command[Done, No], to="a", key="id"):
    id: str


class Do2(Command[Done2, No | No2], to="a", key="id"):
    id: str


class Un(Command[None], to="a", key="id"):
    id: str


class Ev(Event, name="ev"):
    by: str


class Small(Saga[Input, Out], name="small", key="id"):
    @step(undo=None)
    def one(self) -> Do:
        return Do(id=self.input.id)

    @result
    def out(self) -> Out:
        return Out(a=len(self.one.ref))

    flow = one


class Big(Saga[Input], name="big", key="id", version=3):
    @step
    def first(self) -> Do:
        assert_type(self.input, Input)
        return Do(id=self.input.id)

    @first.undo
    def _(self, did: Do) -> Un:
        return Un(id=did.id)

    @step
    def both(self) -> Do | Do2:
        assert_type(self.first, Done)
        return Do(id="x") if self.input.id else Do2(id="y")

    @both.undo
    def _(self, did: Do | Do2) -> Un:
        return Un(id=did.id)

    @step(undo=Undo, retry=Retry(attempts=1))
    def plain(self) -> Un:
        print(self.both)
        return Un(id="x")

    @condition
    def ask(self) -> bool:
        return bool(self.first.ref)

    @step(optional=True, undo=None, timeout=timedelta(seconds=1))
    def maybe(self) -> Do2:
        assert_type(self.ask, bool)
        return Do2(id="x")

    @maybe.undo
    def _(self, did: Do2, reply: Done2 | None) -> Un:
        return Un(id=did.id)

    @child(Small)
    def sub(self) -> Input:
        return self.input

    @child(Small, optional=True)
    def sub2(self) -> Input:
        assert_type(self.sub, Out)
        return self.input

    signal = wait_for(Ev, timeout=timedelta(1))
    signal2 = wait_for(Ev, timeout=timedelta(1), optional=True)

    @step(pivot=True)
    def last(self) -> Un:
        assert_type(self.sub2, Out | None)
        assert_type(self.maybe, Done2 | None)
        assert_type(self.signal, Ev)
        assert_type(self.signal2, Ev | None)
        if self.signal2:
            assert_type(self.signal2, Ev)
        return Un(id="x")

    flow = first >> both >> plain >> sub >> when(ask, maybe, otherwise=sub2 >> signal2) >> signal >> last


class S(Aggregate[Ev], name="a"):
    n: int = 0

    @decide
    def do(self, command: Do) -> Done | No:
        return Done(ref="x")

    @decide
    def do2(self, command: Do2, context: DecideContext[Any]) -> Done2 | No | No2:
        return Done2(ref2="x")

    @decide
    def un(self, command: Un | Undo[Do]) -> None:
        self.record(Ev(by="x"))

    @evolve
    def ev(self, event: Ev) -> None:
        self.n += 1


class Row(BaseModel, frozen=True):
    n: int = 0

    def plus(self, other: "Row") -> "Row":
        return Row(n=self.n + other.n)


store = EventStore("a", events=[Ev])


class V(View, topics=[store, "x", S]):
    a: Table[str, Row]
    b: Table[tuple[str, int], int] = table()
    c: Table[str, Row] = table(merge=Row.plus)

    @on
    def ev(self, event: Ev, recorded: Recorded[Ev]) -> None:
        assert_type(recorded.event, Ev)
        assert_type(self.a.get("x"), Row | None)
        assert_type(self.a.get("x", Row()), Row)
        assert_type(self.b["x", 3], int)
        self.b["x", 1] = 3

    @on
    def ev2(self, event: Ev) -> None: ...


w = Worker("w", topics=[store])


@w.on
async def h(event: Ev) -> None: ...


w2 = Worker("w2", topics=[store])


@w2.on(retry=Retry(), timeout=timedelta(1))
async def h2(event: Ev, context: Context, pool: dict[str, int]) -> None: ...


p = Participant("p")


@p.on
async def u(command: Undo[Do] | Undo[Un]) -> None:
    assert_type(command.did, Do | Un)


async def main(service: Service) -> None:
    assert_type(await service.ask(Do(id="1")), Done | No)
    assert_type(await service.ask(Do2(id="1")), Done2 | No | No2)
    assert_type(await service.ask(Un(id="1")), None)
    run = await SagaClient(service).start(Small, Input(id="1"))
    assert_type(run, Run[Out])
    assert_type(await run.outcome(), Completed[Out] | Undone)
    run2 = await SagaClient(service).start(Big, Input(id="1"))
    assert_type(await run2.outcome(), Completed[None] | Undone)
    await run2.signal(Big.signal, Ev(by="1"))
    await run2.signal(Big.signal2, Ev(by="1"))
    assert_type(await service.table(V.a).get("x"), Row | None)
    assert_type(await service.table(V.b).get(("x", 2)), int | None)
    given(S, Ev(by="x")).when(Do(id="1")).then(Ev(by="1"))
    given(S, Ev(by="x")).when(Do(id="1")).then(Ev(by="1"), reply=Done(ref="1"))
    given(S).when(Un(id="1")).then(reply=None)
    given(S).when(Do(id="1")).then(sent=[Un(id="1")], scheduled={}, cancelled=["x"], reply=Done(ref="1"))
    async with store:
        await store.append("a", [Ev(by="x")], expected=3)
        async for recorded in store.read("a"):
            assert_type(recorded, Recorded[Ev])
    everything: list[Command[Any, Any]] = [Do(id="1"), Un(id="1"), Undo[Do](did=Do(id="1"))]
    print(everything, NO_STREAM)
    Service("x", components=[store, S, V, w, p, Small, Big], log="memory://")


class More(Event, name="more"):
    a: int
    b: str


typed = EventStore[Ev | More]("x", events=[Ev, More])
assert_type(typed, EventStore[Ev | More])


class One(Event, name="one"):
    x: int


class Two(Event, name="two"):
    y: int


class Three(Event, name="three"):
    x: int
    y: str


class S2(Aggregate[Two], name="s2"):
    a: int = 0
    b: str = ""

    @evolve
    def two(self, event: Two) -> None: ...


class S3(Aggregate[Three], name="s3"):
    c: float = 0

    @evolve
    def three(self, event: Three) -> None: ...


class V2(View, topics=[S2, S3]): ...


class V3(View, topics=[S2, S3, "x", EventStore("q", events=[One, Two, Three])], version=3): ...


e1, e2 = EventStore("e1", events=[One, Two]), EventStore("e2", events=[Two, Three])
e3, e4 = EventStore("e1", events=[One]), EventStore("e2", events=(Two, Three, One))
e5: EventStore[One | Two] = EventStore("e1", events=[One, Two])
assert_type(e3, EventStore[One])
assert_type(EventStore[One | Two]("e1", events=[One, Two]), EventStore[One | Two])
Service("y", components=[S2, S3, V2, V3, e1, e2, e3, e4, e5])
Worker("v", topics=[S2, S3, e1, "x"])
Worker("v", topics=[S2, S3])
