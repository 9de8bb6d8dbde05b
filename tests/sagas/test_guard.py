"""The guard of participants (P2)."""

from __future__ import annotations

from sagas.guard import KEPT_MS, UNDONE, Guard, Verdict, fact_key

DO = {"saga": "book_trip/1", "step": "seat", "role": "do"}
UNDO = {**DO, "role": "undo"}


def test_a_do_after_its_undo_is_late() -> None:
    """P2: also when the undo came first; other steps and sagas are not touched."""
    guard = Guard()
    assert guard.ask(DO) is Verdict.RUN

    assert guard.note_undo(UNDO, 1) == b"book_trip/1/seat"

    assert guard.ask(DO) is Verdict.LATE_DO
    assert guard.ask(UNDO) is Verdict.RUN
    assert guard.ask({**DO, "step": "hotel"}) is Verdict.RUN
    assert guard.ask({**DO, "saga": "book_trip/2"}) is Verdict.RUN


def test_an_undo_is_recorded_once() -> None:
    """A repeat of the undo writes no second record."""
    guard = Guard()
    guard.note_undo(UNDO, 1)

    assert guard.note_undo(UNDO, 2) is None


def test_facts_come_back_from_the_log_until_they_are_old() -> None:
    """What is older than any late do may be is dropped."""
    guard = Guard()
    guard.restore(fact_key(DO), UNDONE, 1_000, 1_000 + KEPT_MS)
    guard.restore(b"book_trip/2/seat", UNDONE, 999, 1_000 + KEPT_MS)

    assert guard.ask(DO) is Verdict.LATE_DO
    assert guard.ask({**DO, "saga": "book_trip/2"}) is Verdict.RUN


def test_a_command_of_no_saga_is_not_guarded() -> None:
    """Callers other than sagas do and undo as they like."""
    guard = Guard()

    assert guard.note_undo({"role": "undo"}, 1) is None
    assert guard.ask({}) is Verdict.RUN
