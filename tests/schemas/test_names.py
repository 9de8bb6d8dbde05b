"""What can be a name, and what is said of what cannot."""

import pytest

from schemas.names import LONGEST, check_name, unfit

KAFKA_LONGEST = 249


@pytest.mark.parametrize("name", ["a", "_a", "Stock", "shop.orders-2_b", "x" * LONGEST])
def test_what_kafka_takes_is_a_name(name: str) -> None:
    """Letters, digits, dots, dashes and underscores, up to the longest."""
    assert not unfit(name, "stock")
    check_name("Service", name, "stock")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "it is empty"),
        (".", "a folder's"),
        ("..", "a folder's"),
        ("a b", "holds ' '"),
        ("a/b", "holds '/'"),
        ("büro", "holds 'ü'"),
        ("a\n", r"holds '\\n'"),
        ("x" * (LONGEST + 1), "has 71 characters"),
    ],
)
def test_what_kafka_does_not_take_is_refused_with_an_example(name: str, why: str) -> None:
    """The error says who, what is wrong, and what can be a name."""
    with pytest.raises(ValueError, match=rf"Service cannot have this name: .*{why}\. Topics, .*such as 'shop'"):
        check_name("Service", name, "shop")


def test_a_name_is_text() -> None:
    """A number, or a class, is none."""
    with pytest.raises(TypeError, match="5 is no text"):
        check_name("Worker", 5, "mailer")


def test_the_longest_topic_fits_into_kafka() -> None:
    """A store, a service and a worker of the longest names make it; or a view's copy, a service and a worker."""
    name = "x" * LONGEST

    topics = [f"{name}.events.{name}.{name}.dlq.state", f"{name}.v99999.by.{name}.{name}.redrive"]

    assert all(len(topic) <= KAFKA_LONGEST for topic in topics)
