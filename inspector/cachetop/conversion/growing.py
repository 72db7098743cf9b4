"""A list that grows, and its tuple, which is built again only after a change."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Grown(Generic[T]):
    """A list with its tuple, which is built again only after a change."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self._frozen: tuple[T, ...] | None = ()

    def append(self, item: T) -> None:
        self.items.append(item)
        self._frozen = None

    def replace(self, index: int, item: T) -> None:
        self.items[index] = item
        self._frozen = None

    def frozen(self) -> tuple[T, ...]:
        if self._frozen is None:
            self._frozen = tuple(self.items)
        return self._frozen
