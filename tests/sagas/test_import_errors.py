"""What import refuses: variants of one definition, the line that the error names, words that it holds."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from pathlib import Path

import pytest

from schemas import DefinitionError

LANGUAGE = (Path(__file__).parent / "language.py").read_text()
Case = tuple[list[tuple[str, str]], str | None, str]
FLOW = "flow = parallel(hotel, seat) >> when(vip, approval >> insure) >> pay >> mail"
HOTEL = "return BookHotel(trip_id=self.input.trip_id, city=self.input.city)"
SEAT = "return BookSeat(trip_id=self.input.trip_id)"
MAIL = """    @step
    def mail(self) -> SendMail:
        by = self.approval.by if self.approval else "nobody"
        return SendMail(trip_id=self.input.trip_id, text=f"{self.seat.ref}, approved by {by}")
"""
CASES: dict[str, Case] = {
    "a name too long for topics": (
        [('name="book_trip"', f'name="{"x" * 71}"')],
        "class BookTrip(",
        "has 71 characters",
    ),
    "twice in the flow": (
        [(FLOW, "flow = parallel(hotel, seat) >> when(vip, approval >> insure) >> pay >> mail >> hotel")],
        "flow = parallel",
        "hotel 2 times",
    ),
    "nowhere in the flow": ([(FLOW, FLOW.removesuffix(" >> mail"))], "    @step\n    def mail", "mail stands nowhere"),
    "reads a step beside it in parallel": (
        [
            (
                HOTEL,
                "return BookHotel(\n            trip_id=self.input.trip_id,\n            city=self.seat.ref\n        )",
            )
        ],
        "            city=self.seat.ref",
        "reads self.seat",
    ),
    "reads a step after it": (
        [(SEAT, "return BookSeat(trip_id=self.pay.receipt)")],
        "        return BookSeat(trip_id=self.pay",
        "reads self.pay",
    ),
    "reads inside a comprehension": (
        [(SEAT, 'return BookSeat(trip_id="".join(self.pay.receipt for _ in range(2)))')],
        '        return BookSeat(trip_id="',
        "reads self.pay",
    ),
    "an async step": (
        [("    def hotel(self) -> BookHotel", "    async def hotel(self) -> BookHotel")],
        "    @step(timeout=timedelta(seconds=30), retry=Retry(attempts=5))\n    async def hotel",
        "BookTrip.hotel is async or a generator",
    ),
    "undo reads its step's reply": (
        [("CancelHotel(trip_id=did.trip_id)", "CancelHotel(trip_id=self.hotel.ref)")],
        "        return CancelHotel(",
        "undo of BookTrip.hotel reads self.hotel",
    ),
    "refusal after the pivot": (
        [
            (
                MAIL,
                MAIL
                + "\n    @step\n    def again(self) -> Insure:\n        return Insure(trip_id=self.input.trip_id)\n",
            ),
            (FLOW, FLOW + " >> again"),
        ],
        "    @step\n    def again",
        "(Declined): put it before the pivot, or send a command that is not refused",
    ),
    "pivot inside parallel": (
        [
            (FLOW, "flow = parallel(hotel, seat, pay) >> when(vip, approval >> insure) >> mail"),
            ("self.hotel.ref", '"x"'),
        ],
        "    @step(pivot=True)\n    def pay",
        "inside parallel()",
    ),
    "no undo before the pivot": (
        [("    @step(undo=Undo)\n    def seat", "    @step\n    def seat")],
        "    @step\n    def seat",
        "has no undo",
    ),
    "no undo and no pivot at all": (
        [
            ("    @step(pivot=True)\n    def pay", "    @step\n    def pay"),
            ("    @step\n    def mail", "    @step(undo=None)\n    def mail"),
        ],
        "    @step\n    def pay",
        "BookTrip.pay has no undo, and the flow has no pivot: add @pay.undo, undo=Undo (mirrored) or undo=None",
    ),
    "misspelt class option": (
        [("class BookTrip(Saga[Trip, Ticket], name=", "class BookTrip(Saga[Trip, Ticket], nmae=")],
        "class BookTrip",
        "BookTrip has no option nmae=: did you mean name=?",
    ),
    "misspelt option of a step": (
        [("    @step(undo=Undo)\n    def seat", "    @step(undu=Undo)\n    def seat")],
        "    @step(undu=Undo)",
        "step has no option undu=: did you mean undo=?",
    ),
    "undo=None is enough": ([("    @step(undo=Undo)\n    def seat", "    @step(undo=None)\n    def seat")], None, ""),
    "inside when without optional (wait)": (
        [(", optional=True)\n\n    @child", ")\n\n    @child")],
        "    approval = wait_for(",
        "optional=True",
    ),
    "inside when without optional (child)": (
        [("@child(InsureTrip, optional=True)", "@child(InsureTrip)")],
        "    @child(InsureTrip)",
        "optional=True",
    ),
    "inside when without optional (step)": (
        [(FLOW, "flow = hotel >> when(vip, seat >> approval >> insure) >> pay >> mail")],
        "    @step(undo=Undo)\n    def seat",
        "optional=True",
    ),
    "optional outside": (
        [("    @step(undo=Undo)\n    def seat", "    @step(undo=Undo, optional=True)\n    def seat")],
        "    @step(undo=Undo, optional=True)\n    def seat",
        "outside when()",
    ),
    "timeout longer than the deadline (step)": (
        [("timeout=timedelta(seconds=30)", "timeout=timedelta(hours=3)")],
        "    @step(timeout=timedelta(hours=3)",
        "deadline",
    ),
    "timeout longer than the deadline (wait)": (
        [("timeout=timedelta(hours=1)", "timeout=timedelta(hours=3)")],
        "    approval = wait_for(",
        "deadline",
    ),
    "undo goes elsewhere": (
        [('class CancelHotel(Command[None], to="hotels"', 'class CancelHotel(Command[None], to="motels"')],
        "    @hotel.undo",
        "'motels'",
    ),
    "overwritten step": (
        [("def seat(self) -> BookSeat:", "def hotel(self) -> BookSeat:")],
        "    def hotel(self) -> BookSeat",
        "overwrites",
    ),
    "pivot inside when": (
        [
            ("@step(pivot=True)", "@step(pivot=True, optional=True)"),
            (FLOW, "flow = parallel(hotel, seat) >> when(vip, approval >> insure >> pay) >> mail"),
            ("return Ticket(reference=self.pay.receipt)", 'return Ticket(reference="x")'),
        ],
        "    @step(pivot=True, optional=True)\n    def pay",
        "inside when()",
    ),
    "two pivots": (
        [("    @step\n    def mail", "    @step(pivot=True)\n    def mail")],
        "    @step(pivot=True)\n    def mail",
        "second pivot",
    ),
    "wait after the pivot": (
        [(FLOW, "flow = parallel(hotel, seat) >> when(vip, insure) >> pay >> when(vip, approval) >> mail")],
        "    approval = wait_for(",
        'unanswered="continue"',
    ),
    "key that is no field": (
        [('version=2, key="trip_id"', 'version=2, key="trip"')],
        "class BookTrip(",
        "key='trip' is no field of Trip",
    ),
    "no flow": ([(FLOW, "")], "class BookTrip(", "has no flow"),
    "no result": (
        [("    @result\n    def ticket", "    def ticket")],
        "class BookTrip(",
        "answers Ticket",
    ),
    "another result": (
        [("def ticket(self) -> Ticket:", "def ticket(self) -> Trip:")],
        "    @result\n    def ticket",
        "its class says Ticket",
    ),
    "builds no command": (
        [("def seat(self) -> BookSeat:", "def seat(self) -> Ticket:")],
        "    @step(undo=Undo)\n    def seat",
        "which is no command",
    ),
    "as it stands": ([], None, ""),
    "future annotations": ([('refuses."""\n', 'refuses."""\n\nfrom __future__ import annotations\n')], None, ""),
    "local classes": ([], None, ""),
}


def load(folder: Path, text: str) -> Path:
    """Import the text as a module."""
    path = folder / "variant.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("variant_of_language", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return path


def inside_a_function(text: str) -> str:
    """The same definitions as local classes, with annotations that are strings."""
    head, body = text.split("class Trip(", 1)
    head = head.replace(head[: head.index("\n")], "", 1).lstrip()
    local = textwrap.indent("class Trip(" + body, "    ")
    return f"from __future__ import annotations\n{head}def local() -> None:\n{local}\n\nlocal()\n"


@pytest.mark.parametrize("name", CASES)
def test_import_names_the_line_to_change(name: str, tmp_path: Path) -> None:
    """Each variant is accepted, or refused with file, line and reason."""
    edits, where, words = CASES[name]
    text = inside_a_function(LANGUAGE) if name == "local classes" else LANGUAGE
    for before, after in edits:
        assert text.count(before) == 1, before
        text = text.replace(before, after)

    if where is None:
        load(tmp_path, text)
        return
    assert text.count(where) == 1, where
    line = text[: text.index(where)].count("\n") + 1

    with pytest.raises(DefinitionError) as refused:
        load(tmp_path, text)

    assert str(refused.value).startswith(f"{tmp_path / 'variant.py'}:{line}: ")
    assert words in str(refused.value)
    assert refused.value.line.number == line
