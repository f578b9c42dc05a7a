"""Errors as the user of a node reads them."""

from __future__ import annotations

from neural_seg_ros.errors import NeuralSegError


def error_text(error: BaseException) -> str:
    """The message of an error made for users; of any other, its type too."""
    return str(error) if isinstance(error, NeuralSegError) else f"{type(error).__name__}: {error}"
