"""What both checkers refuse."""

from datetime import timedelta

from sagalog import Command, Saga, Service, Table, Undo, View, Worker, child, given, on, step, table, wait_for
from tests.typing.accepted import Do, Do2, Done, Done2, Ev, Input, More, Row, S, Small, Un, V, typed, w


class C1(Command[int], to="a", key="x"):  # error: a reply is a Reply
    x: str


class C2(Command[Done, Done], to="a", key="x"):  # error: a refusal is a Refusal
    x: str


class T(Saga[Input], name="t", key="id"):
    @step
    def one(self) -> Do:
        return Do(id=self.input.idd)  # error: no such field

    @one.undo  # error: undoes another command
    def _(self, did: Do2) -> Un:
        return Un(id=did.id)

    @one.undo  # error: not a command
    def _(self, did: Do) -> int:
        return 3

    @step  # error: not a command
    def two(self) -> int:
        return 3

    @step(undo=Do)  # error: not Undo
    def three(self) -> Do:
        return Do(id=self.one.reff)  # error: no such field

    @step(optional=True)
    def four(self) -> Do:
        return Do(id=1)  # error: not a str

    @step(timeout=3)  # error: not a timedelta
    def five(self) -> Do:
        return Do(id=self.four.ref)  # error: may be None

    @child(Small)  # error: not its input
    def six(self) -> Row:
        return Row()

    x = wait_for(Input, timeout=timedelta(1))  # error: not a message

    flow = one >> 3  # error: not a part of a flow


class Typo(Saga[Input], nmae="t", key="id"):  # error: no such option
    flow = 3


class NoName(Saga[Input], key="id"):  # error: needs a name
    flow = 3


async def wrong(service: Service, do: Do, s: S) -> None:
    do.id = "3"  # error: frozen
    given(S).when(do).then(reply=Done2(ref2="x"))  # error: not its reply
    given(S).when(do).then(More(a=1, b=""))  # error: not its event
    given(S).when(do).then(repyl=Done(ref="1"))  # error: no such option
    given(S).when(do).then(sent=[Row()])  # error: not a message
    await service.table(V.a).get(3)  # error: not its key
    await typed.append("a", [Row()], expected=3)  # error: not an event
    await typed.append("a", [], expected="3")  # error: not a version
    Worker("w", order="kee")  # error: no such order
    Service("x", components=[Row])  # error: not a component
    Undo[Row]  # error: not a command
    V.a.get("x")  # error: a table is read through the service
    Ev(bye="x")  # error: no such field


class W(View, topics=["x"]):
    a: Table[str, Row]
    b: Table[str, int] = table(merge=Row.plus)  # error: not its rows

    @on  # error: needs an event
    def f(self) -> None: ...

    @on
    def g(self, event: Ev) -> None:
        self.a[3] = Row()  # error: not its key
        self.a["x"] = 3  # error: not a row
        self.a = 3  # error: not assignable


@w.on  # error: not async
def h(event: Ev) -> None: ...
