"""The trackers: chosen by name, built in a worker process."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from neural_seg_ros.config import SessionConfig
from neural_seg_ros.evaluation.contestants import Contestant, choose_among
from neural_seg_ros.evaluation.labelers import Labeler
from neural_seg_ros.evaluation.tracking.peers import available_peers
from neural_seg_ros.evaluation.tracking.play import check_start
from neural_seg_ros.evaluation.tracking.trackers import FromClicks, Tracker


def choose(peers: str, answers: str, start: str, config: SessionConfig, device: str) -> tuple[Contestant[Tracker], ...]:
    """Choose trackers from comma-separated names, see ``choose_among``. Peers carry the mask of ``fused``."""
    check_start(start)
    accepted = available_peers()
    if start == "clicks":
        labeler = partial(_labeler, replace(config, answer="fused"), device)
        accepted = {name: partial(FromClicks, build, labeler) for name, build in accepted.items()}
    return choose_among(peers, answers, accepted, partial(_session, device=device), config)


# Peers alone, from a mask, need no torch.
def _session(config: SessionConfig, device: str) -> Tracker:
    from neural_seg_ros.evaluation.tracking.trackers import SessionTracker

    return SessionTracker(config, device)


def _labeler(config: SessionConfig, device: str) -> Labeler:
    from neural_seg_ros.evaluation.labelers import SessionLabeler

    return SessionLabeler(config, device)
