"""What user ids are read from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator


class UserIdSource(ABC):
    """Something that user ids can be read from. Its ``repr`` is shown by Airflow, and names nobody."""

    @abstractmethod
    def read(self) -> Iterator[object]:
        """Read the user ids, in an order that is the same each time; who reads them checks each."""
