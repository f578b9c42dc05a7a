"""The contestants: chosen by name, built in a worker process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from neural_seg_ros.config import SessionConfig
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.evaluation.labelers import Labeler
from neural_seg_ros.options import options_of

T = TypeVar("T")
Peers = Mapping[str, Callable[[], T]]


@dataclass(frozen=True)
class Contestant(Generic[T]):
    """A name and how a new labeler or tracker is built (picklable).

    config, device  what a session of our own is given; of peers None
    """

    name: str
    build: Callable[[], T]
    config: SessionConfig | None = None
    device: str | None = None


def choose(
    peers: str, answers: str, accepted: Peers[Labeler], config: SessionConfig, device: str
) -> tuple[Contestant[Labeler], ...]:
    """Choose labelers from comma-separated names, see ``choose_among``."""
    chosen = choose_among(peers, answers, accepted, partial(_session, device=device), config)
    return tuple(entry if entry.config is None else replace(entry, device=device) for entry in chosen)


def choose_among(
    peers: str, answers: str, accepted: Peers[T], ours: Callable[[SessionConfig], T], config: SessionConfig
) -> tuple[Contestant[T], ...]:
    """Choose contestants from comma-separated names; each of ``peers`` and ``answers`` may be ``all`` or ``none``.

    Peers come first; ``ours`` builds a session of our own (picklable). Raises ConfigError for an unknown name or when
    no contestant is left.
    """
    answer = next(entry for entry in options_of(SessionConfig) if entry.name == "answer")
    chosen: list[Contestant[T]] = [
        Contestant(name, accepted[name]) for name in names_among("--peers", peers, tuple(accepted))
    ]
    for name in names_among("--answers", answers, answer.choices):
        answering = replace(config, answer=name)
        chosen.append(Contestant(name, partial(ours, answering), answering))
    if not chosen:
        raise ConfigError("--peers, --answers: got none for both, accepted: at least one name")
    return tuple(chosen)


def _session(config: SessionConfig, device: str) -> Labeler:
    # Peers alone need no torch.
    from neural_seg_ros.evaluation.labelers import SessionLabeler

    return SessionLabeler(config, device)


def names_among(option: str, text: str, accepted: tuple[str, ...]) -> list[str]:
    """Parse comma-separated names, ``all`` or ``none``. Raises ConfigError for another."""
    if text == "all":
        return list(accepted)
    if text == "none":
        return []
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = next((name for name in names if name not in accepted), None)
    if unknown is not None:
        raise ConfigError(f"{option}: got {unknown!r}, accepted: all | none | some of {','.join(accepted)}")
    return names
