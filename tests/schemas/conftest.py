"""What tests of messages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from schemas.personal_data import drop_keyring, use_keyring
from tests.schemas.rings import Ring


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = Ring()
    use_keyring(made)
    yield made
    drop_keyring(made)
