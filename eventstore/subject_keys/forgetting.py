"""What is known of a forgetting that the log did not let end.

A forgetting is a record that says so, and then a tombstone for each key. Before that record is handed over nothing has
happened; until it is acknowledged nobody knows; after that the subject is forgotten, and only the keys' bytes are left
to be destroyed. To call it again is right in each case: it writes what is missing.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import ClassVar, Literal, TypeAlias

from eventstore.errors import EventStoreError, ReadStalled
from eventstore.log.errors import LogClosed, LogError, NotAuthorized, TopicMissing

Known: TypeAlias = Literal["nothing happened", "outcome unknown", "forgotten"]
"""What is known of it; "forgotten" means that only the keys' bytes are left to be destroyed."""

_SAYS: dict[Known, str] = {
    "nothing happened": "nothing was written, everything is as before",
    "outcome unknown": "whether the log has it is not known",
    "forgotten": "the log has it, and whoever hears from it drops the keys, but their bytes are not destroyed",
}


class ForgetUnfinished(EventStoreError):
    """The log did not let a forgetting end: call it again once the log answers, which is right whatever was done."""

    is_retryable: ClassVar[bool] = True

    def __init__(self, subject: str, known: Known, why: str) -> None:
        super().__init__(
            f"forgetting {subject} was not finished, {_SAYS[known]} ({why}): when the log answers, call forget again, "
            "which does no harm if it was done"
        )
        self.subject, self.known, self.why = subject, known, why


@contextmanager
def told(subject: str, known: Known) -> Generator[None]:
    """Say what is known of the forgetting if the log fails within. What trying again does not mend passes as it is.

    Raises:
        ForgetUnfinished: the log failed.
    """
    try:
        yield
    except (LogClosed, NotAuthorized, TopicMissing):
        raise
    except (LogError, ReadStalled, TimeoutError) as error:
        raise ForgetUnfinished(subject, known, str(error) or "no answer in time") from error
