"""Notice that a consumer asks nobody any more.

A broker that starts may answer that the cluster has no brokers. librdkafka then forgets those it knew, and begins with
its first addresses again; now and then it forgets these too (its issue 5301: two of its threads race), and such a
client hears nothing until its process ends. From outside it looks like one that has nothing to read. So one that was
silent for a while is asked for something that every broker answers, and the cluster is asked over another connection.
"""

from __future__ import annotations

import threading
import time

from confluent_kafka import Consumer, KafkaException

from eventstore.log.kafka.admin import Admin

QUIET_SECONDS = 5.0
"""A consumer that heard nothing for so long is asked; then again as often, while it answers."""
PAUSE_SECONDS = 1.0
"""Between two questions of which the first had no answer."""
TIMES = 5
"""So often in a row the cluster must answer another client and this one get nothing."""
ANSWER_SECONDS = 0.5
"""How long an answer may take, beside a fetch that is under way."""

DEAF = "the cluster answers others, and this client asked nobody any more"
"""What is told of a consumer that is replaced."""


class Hearing:
    """Of one consumer. Used by the thread that polls it."""

    def __init__(self, admin: Admin, topic: str, fetch_wait_seconds: float) -> None:
        """
        Args:
            admin: asks over another connection.
            topic: one that the consumer reads; without any it hears nothing that it could miss.
            fetch_wait_seconds: how long a broker may hold back what comes after a fetch.
        """
        self._admin, self._topic = admin, topic
        self._patience = ANSWER_SECONDS + fetch_wait_seconds
        self.heard()

    def heard(self) -> None:
        """Something came, or the consumer is a new one."""
        self._ask_at = time.monotonic() + QUIET_SECONDS
        self._unheard = 0

    def is_deaf(self, consumer: Consumer) -> bool:
        """Whether the consumer should be replaced; to be asked when a poll brought nothing.

        It takes no time but for a question now and then, which waits for as long as an answer may take, and twice as
        long while nobody answers.
        """
        if not self._topic or time.monotonic() < self._ask_at:
            return False
        if self._answers(consumer):
            self.heard()
            return False
        self._ask_at = time.monotonic() + PAUSE_SECONDS
        self._unheard = self._unheard + 1 if self._admin.answers(self._topic, ANSWER_SECONDS) else 0
        return self._unheard >= TIMES

    def _answers(self, consumer: Consumer) -> bool:
        try:
            consumer.list_topics(self._topic, timeout=self._patience)
        except KafkaException:
            return False
        return True


def leave_behind(consumer: Consumer) -> None:
    """Close one that was replaced, on a thread of its own: whoever polls does not wait for that."""
    threading.Thread(target=consumer.close, name="consumer replaced", daemon=True).start()
