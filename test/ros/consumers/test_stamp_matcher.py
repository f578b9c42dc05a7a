"""Messages joined by exact stamp."""

from __future__ import annotations

import numpy as np

from neural_seg_ros.ros.consumers.stamp_matcher import StampMatcher, Unmatched


def matcher(seconds: float = 5.0, capacity: int = 1 << 30) -> StampMatcher:
    return StampMatcher(["mask", "confidence"], ["depth"], seconds, capacity)


def test_only_equal_stamps_match_in_any_order() -> None:
    rng = np.random.default_rng(0)
    everything = [(topic, stamp) for topic in ("mask", "confidence", "depth") for stamp in range(20)]
    rng.shuffle(everything)
    made = matcher()
    matches = []
    for topic, stamp in ((str(topic), int(stamp)) for topic, stamp in everything):
        match = made.put(topic, stamp, (topic, stamp), 10, now=0.0)
        if match is not None:
            matches.append(match)
    assert sorted(match["mask"][1] for match in matches) == list(range(20))
    for match in matches:
        assert match == {topic: (topic, match["mask"][1]) for topic in ("mask", "confidence", "depth")}


def test_a_nanosecond_apart_is_another_frame() -> None:
    made = matcher()
    made.put("depth", 1_000_000_001, "d", 10, 0.0)
    made.put("confidence", 1_000_000_000, "c", 10, 0.0)
    assert made.put("mask", 1_000_000_000, "m", 10, 0.0) is None


def test_depth_serves_every_mask_confidence_one() -> None:
    made = matcher()
    made.put("depth", 7, "depth", 10, 0.0)
    for answer in ("first", "second"):
        assert made.put("mask", 7, answer, 10, 1.0) is None
        assert made.put("confidence", 7, answer, 10, 1.0) == {"depth": "depth", "mask": answer, "confidence": answer}


def test_a_mask_whose_confidence_was_lost_takes_the_one_before() -> None:
    made = matcher()
    made.put("depth", 7, "depth", 10, 0.0)
    made.put("mask", 7, "first", 10, 1.0)
    assert made.put("confidence", 7, "first", 10, 1.0)
    assert made.match_overdue(9.0) == [], "every message was used"
    assert made.put("mask", 7, "second", 10, 1.1) is None
    assert made.match_overdue(1.2) == [], "its own confidence may be under way"
    assert made.match_overdue(1.5) == [{"depth": "depth", "mask": "second", "confidence": "first"}]
    assert made.match_overdue(9.0) == []
    # Its own confidence comes after all: that alone is no new answer.
    assert made.put("confidence", 7, "second", 10, 1.6) is None
    assert made.put("mask", 7, "third", 10, 1.7) == {"depth": "depth", "mask": "third", "confidence": "second"}
    made.put("confidence", 7, "third", 10, 1.8)
    assert made.expire(99.0) == [], "every mask was matched"


def test_what_was_used_is_no_loss() -> None:
    made = matcher(seconds=1.0)
    made.put("depth", 7, "depth", 10, 0.0)
    made.put("mask", 7, "mask", 10, 0.0)
    assert made.put("confidence", 7, "confidence", 10, 0.0)
    assert made.expire(2.0) == []
    assert made.waiting_bytes == 0


def test_a_late_mask_finds_its_depth_until_that_is_too_old() -> None:
    made = StampMatcher(["mask"], ["depth"], 5.0, 1 << 30)
    for second in range(10):
        made.put("depth", second, f"depth {second}", 10, float(second))
        made.expire(float(second))
    assert made.put("mask", 4, "mask", 10, 9.0) == {"depth": "depth 4", "mask": "mask"}
    assert made.put("mask", 3, "mask", 10, 9.0) is None
    assert made.expire(9.1) == []
    assert made.expire(14.1) == [Unmatched(3, ("mask",), ("depth",))]


def test_an_unmatched_mask_is_dropped_but_depth_is_no_loss() -> None:
    made = matcher(seconds=1.0)
    made.put("depth", 1, "d", 10, 0.0)
    made.put("mask", 2, "m", 10, 0.5)
    made.put("confidence", 2, "c", 10, 0.6)
    assert made.expire(1.55) == []
    assert made.expire(1.65) == [Unmatched(2, ("mask", "confidence"), ("depth",))]
    assert made.waiting_bytes == 0


def test_what_waits_is_bounded_in_bytes_however_small() -> None:
    made = matcher(capacity=1_000_000)
    for stamp in range(5000):
        made.put("depth", stamp, "d", 1, 0.0)
        made.expire(0.0)
        assert made.waiting_bytes <= 1_000_000
    made.put("mask", 1, "m", 2_000_000, 0.0)
    assert made.expire(0.0) == [Unmatched(1, ("mask",), ("confidence", "depth"))]
    assert made.waiting_bytes == 0


def test_a_clock_that_is_set_back_does_no_harm() -> None:
    made = StampMatcher(["mask"], ["depth"], 5.0, 1 << 30)
    for now, stamp in enumerate((100, 101, 1, 2)):
        made.put("depth", stamp, stamp, 10, float(now))
    assert made.put("mask", 2, "mask", 10, 4.0) == {"depth": 2, "mask": "mask"}
    assert made.put("mask", 101, "mask", 10, 4.0) == {"depth": 101, "mask": "mask"}
