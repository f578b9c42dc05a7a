"""Snapshots, ``{name: tensor}``: the part of one that an owner has put under its own name."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def part_of(snapshot: Mapping[str, Tensor], owner: str) -> dict[str, Tensor]:
    """What is named ``owner.NAME``, as ``NAME``."""
    prefix = f"{owner}."
    return {name.removeprefix(prefix): tensor for name, tensor in snapshot.items() if name.startswith(prefix)}
