"""Figures as texts in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of texts."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Format the table as GitHub Markdown, the first column to the left, figures to the right."""
        rule = ["---", *["---:"] * (len(self.head) - 1)]
        return "".join(f"| {' | '.join(cells)} |\n" for cells in (self.head, rule, *self.rows))


def padded(values: Sequence[float], length: int) -> list[float]:
    """Pad ``values``, at least one, with the last up to ``length``."""
    return [*values, *[values[-1]] * (length - len(values))]
