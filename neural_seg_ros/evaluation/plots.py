"""Plots of evaluations and benchmarks. Only this module imports matplotlib, which the extra ``evaluation`` brings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neural_seg_ros.errors import ConfigError
from neural_seg_ros.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INSTALL = "pip install 'neural_seg_ros[evaluation]'"


def new_figure(width: float = 6.4, height: float = 4.0, dpi: int = 120) -> Figure:
    """Make an empty figure; width and height in inches. Raises ConfigError where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(f"matplotlib: not installed, accepted: {_INSTALL}, which plots need") from None
    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def plot_axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """Make an empty plot with its titles."""
    figure = new_figure()
    return figure, figure.add_subplot(title=title, xlabel=x, ylabel=y)


def save_plot(path: Path, figure: Figure, axes: Axes) -> None:
    """Write a plot with grid and legend, whole or not at all."""
    axes.grid(alpha=0.3)
    axes.legend()
    write_figure(path, figure)


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure, whole or not at all."""
    with whole_file(path) as temporary:
        figure.savefig(temporary)
