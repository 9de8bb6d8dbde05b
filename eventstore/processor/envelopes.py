"""What a partition sends besides events and commands: answers to inputs, and dead letters (K7, K8)."""

from __future__ import annotations

from eventstore.dead_letters import dead_letter_headers, fitting
from eventstore.log.records import Headers
from eventstore.processor.inputs import AnswerOut, Input, Outgoing
from eventstore.processor.topics import dead_letters_of, takes_answers
from schemas import Message, Metadata, Nothing, Serde

_FINAL = {"refusal": "final"}
"""What a saga is told of a refusal by a processor: it did not happen (P1)."""


def send_reply(
    item: Input,
    message: Message | None,
    number: str,
    serde: Serde,
    now_ms: int,
    out: list[Outgoing],
    encoded: bytes | None = None,
) -> None:
    """Answer to the address that the input carried, if it carried one. A local caller is answered without a record.

    `number` makes the reply's id of the input's: a final one has the same id whenever it is sent (K8). `encoded`: the
    answer's bytes, where they are known already.
    """
    to = item.metadata.reply
    if to is None or item.call is not None or not takes_answers(to.topic):
        return
    answer: Message = Nothing() if message is None else message
    meta = Metadata(
        id=f"{item.metadata.id}.{number}", type=answer.__type_name__, correlation=to.correlation,
        causation=item.metadata.id, attributes=_FINAL,
    )  # fmt: skip
    key = to.key.encode() if to.key else None
    value = encoded or serde.encode(answer)
    out.append(AnswerOut((to.topic, to.partition, key, value, (("meta", meta.encode()),), now_ms)))


def dead_letter_record(
    item: Input, error: BaseException, inbox: tuple[str, int], group: str, serde: Serde, now_ms: int, limit_bytes: int
) -> Outgoing:
    """The input as it came, with its origin and the error. One that was no record is written as it would have come.

    A record that does not fit beside these headers leaves its value at its origin.
    """
    record, (topic, partition) = item.record, inbox
    key: bytes | None
    value: bytes | None
    headers: Headers
    input_id = ""
    if record is None:
        key, value = item.key.encode(), serde.encode(item.message)
        headers, offset, input_id = (("meta", item.metadata.encode()),), -1, item.metadata.id
    else:
        key, value, headers, offset = record.key, record.value, record.headers, record.offset
    headers = dead_letter_headers(
        headers=headers, topic=topic, partition=partition, offset=offset, group=group, error=error, attempts=1,
        now_ms=now_ms, input=input_id,
    )  # fmt: skip
    value, headers = fitting(key, value, headers, limit_bytes)
    return dead_letters_of(topic, group), partition, key, value, headers, now_ms
