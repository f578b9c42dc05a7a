"""The harder objects: segments that annotators agree on, and two frames of every sequence."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from neural_seg_ros.errors import SourceError
from neural_seg_ros.evaluation.hard_objects import hard_items
from neural_seg_ros.images.files import write_image
from neural_seg_ros.metrics import IGNORE


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two images of 100 x 80: three annotators see the same square in the first, none agrees in the second."""
    square = np.zeros((80, 100), np.uint16)
    square[20:60, 30:70] = 1
    larger, parted = np.zeros_like(square), np.zeros_like(square)
    larger[20:60, 30:72] = 1
    parted[20:60, 30:50], parted[20:60, 50:70] = 1, 2
    stripes = [np.repeat(np.arange(count), -(-100 // count))[None, :100].repeat(80, 0) for count in (2, 3, 5)]
    for name, annotators in (("agreed", (square, larger, parted)), ("open", stripes)):
        cells = np.empty((1, 3), object)
        for index, ids in enumerate(annotators):
            cells[0, index] = {"Segmentation": ids.astype(np.uint16) + 1}
        write_image(tmp_path / "bsds500" / "val" / "images" / f"{name}.jpg", np.zeros((80, 100, 3), np.uint8))
        (tmp_path / "bsds500" / "val" / "groundTruth").mkdir(exist_ok=True)
        scipy.io.savemat(tmp_path / "bsds500" / "val" / "groundTruth" / f"{name}.mat", {"groundTruth": cells})
    for index in range(8):
        mask = np.zeros((40, 60), np.uint8)
        mask[10:20, index : index + 10] = 255
        write_image(tmp_path / "davis" / "JPEGImages" / "dog" / f"{index:05}.jpg", np.zeros((40, 60, 3), np.uint8))
        write_image(tmp_path / "davis" / "Annotations" / "dog" / f"{index:05}.png", mask)
    return tmp_path


def test_a_segment_shared_by_annotators_is_the_object(root):
    agreed = hard_items(root)[0]
    assert agreed.name == "agreed"
    truth = agreed.load().truth
    assert (truth[20:60, 30:70] == 1).all()
    assert (truth[20:60, 70:72] == IGNORE).all()
    assert np.count_nonzero(truth) == 40 * 42
    assert agreed.load(longer_side=50).truth.shape == (40, 50)


def test_no_agreement_gives_none_a_sequence_two_frames(root):
    assert [item.name for item in hard_items(root)] == ["agreed", "dog-00002", "dog-00006"]
    assert len(hard_items(root, limit=2)) == 2
    sample = hard_items(root)[1].load()
    assert np.unique(sample.truth).tolist() == [0, 1]
    assert (sample.truth[10:20, 2:12] == 1).all()


def test_missing_sequences_are_named(root):
    (root / "davis").rename(root / "elsewhere")
    with pytest.raises(SourceError, match=r"davis: no sequences there, accepted: JPEGImages"):
        hard_items(root)


def test_development_data_give_thirty_segments_and_the_frames(data_root):
    items = hard_items(data_root)
    sequences = [each for each in (data_root / "davis" / "JPEGImages").glob("*/") if each.is_dir()]
    assert len(items) == len({item.name for item in items}) == 30 + 2 * len(sequences)
    share = (items[0].load().truth == 1).mean()
    assert 0.005 < share < 0.4
