"""Autosave: the log of a session, and the sessions restored from it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neural_seg_ros import Box, Click, Region, Session, SessionConfig, Stroke
from neural_seg_ros.errors import SessionError, SessionFileError
from neural_seg_ros.live import Autosave, LiveCallbacks, LiveConfig, LiveSession, open_autosave
from neural_seg_ros.live.autosave.store import (
    AutosavedAnnotation,
    AutosavedFrame,
    AutosaveFolder,
    AutosaveState,
    PendingCommand,
    annotations_record,
    decode,
    encode,
)
from neural_seg_ros.live.inbox import Frame

SECONDS = 60.0
CONFIG = SessionConfig.preset(
    "cpu",
    **{
        "field.size": 32,
        "field.width": 8,
        "field.levels": 2,
        "fit.first_steps": 3,
        "fit.click_steps": 3,
        "track.size": 64,
        "track.first_steps": 4,
    },
)
PIXELS = "0" * 32
NODES: list[Node] = []


def picture(seed: int) -> Any:
    """Return (48, 64, 3) uint8."""
    image = np.random.default_rng(seed).integers(0, 60, (48, 64, 3)).astype(np.uint8)
    image[12:24, 16:32] += 180
    return image


class Node:
    """A live session with autosave, as a node has it; ``crash`` leaves on disk what a kill would leave."""

    def __init__(self, folder: Path, restore: str = "crash", max_age: float = 300.0, megabytes: int = 512) -> None:
        NODES.append(self)
        self.folder = folder
        self.notices: list[str] = []
        self.errors: list[str] = []
        self.autosave = open_autosave(
            folder,
            "/image",
            restore=restore,
            max_age=max_age,
            megabytes=megabytes,
            notice=self.notices.append,
            failed=lambda error: self.errors.append(str(error)),
        )
        self.live = LiveSession(
            lambda config: Session(config, "cpu"),
            lambda path: Session.load(path, "cpu"),
            CONFIG,
            LiveConfig(max_age=10.0, still_threshold=0.0),
            LiveCallbacks(
                output=lambda output: None,
                wanted=lambda: False,
                error=lambda error: self.errors.append(str(error)),
                notice=self.notices.append,
            ),
            autosave=self.autosave,
        )
        self.live.wait_ready(SECONDS)
        # Whatever was to be taken up comes before this.
        self.do(lambda: None)

    def do(self, command: Any) -> Any:
        return self.live._inbox.submit(command).result(SECONDS)

    def show(self, seed: int) -> None:
        image = picture(seed)
        self.live.offer_frame(lambda: image, float(seed), f"frame {seed}", image.nbytes)

    def click(self, x: float, seed: int, class_id: int = 1) -> None:
        self.live.annotate(Click(x, 15, class_id), float(seed)).result(SECONDS)

    @property
    def annotations(self) -> list[Any]:
        return [(annotations.annotation, annotations.stamp) for annotations in self.live._worker.session.annotations]

    @property
    def xs(self) -> list[float]:
        return [annotation.x for annotation, _ in self.annotations]

    def files(self) -> list[str]:
        """Return the names of pixels on disk."""
        return sorted(path.name for path in self.folder.glob("*.npy"))

    def written(self) -> AutosaveState:
        """Return the state on disk after all pending writes."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            wanted = self.annotations
            state, log = AutosaveState(), self.folder / "annotations.log"
            for record in decode(log.read_bytes())[1:] if log.exists() else []:
                state.apply(record)
            of_base = [entry for entry in state.annotations if entry.of_base]
            ours = [(entry.shape, entry.frame.stamp) for entry in state.annotations if entry.frame is not None]
            if not state.asked and ours == wanted[len(of_base) :] and not state.attempts:
                return state
            time.sleep(0.01)
        raise AssertionError((state, wanted))

    def written_lines(self, word: bytes) -> list[bytes]:
        """Return the lines of the log that have a word."""
        return [line for line in (self.folder / "annotations.log").read_bytes().splitlines() if word in line]

    def until_files(self, count: int) -> None:
        """Wait until there are pixels of so many frames: they are deleted after the record is written."""
        end = time.monotonic() + SECONDS
        while len(self.files()) != count:
            assert time.monotonic() < end, self.files()
            time.sleep(0.01)

    def crash(self) -> None:
        """End, and have on disk what a kill would have left: all but the last record, which says that it was meant."""
        self.written()
        self.live.close()
        log = self.folder / "annotations.log"
        *lines, last = log.read_bytes().splitlines(keepends=True)
        assert b"ended" in last
        log.write_bytes(b"".join(lines))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "autosave" / "segmenter"


@pytest.fixture
def node(folder: Path) -> Node:
    return Node(folder)


@pytest.fixture(autouse=True)
def _close_all() -> Iterator[None]:
    """Return a worker that a failed test leaves behind would keep this process from its end."""
    yield
    while NODES:
        NODES.pop().live.close()


def again(folder: Path, **options: Any) -> Node:
    return Node(folder, **options)


def test_after_a_kill_every_annotation_is_on_its_frame_again(node: Node, folder: Path) -> None:
    for seed in (1, 2):
        node.show(seed)
        node.click(20 + seed, seed)
    node.click(5, 1, class_id=0)
    shapes = [Stroke(((1.5, 2), (9, 9)), 2, 3), Region(((30, 30), (40, 30), (40, 40)), 3), Box(2, 2, 60, 40, 4, True)]
    for shape in shapes:
        node.live.annotate(shape, 2.0).result(SECONDS)
    before = node.annotations
    assert [stamp for _, stamp in before] == [1, 2, 1, 2, 2, 2]
    node.crash()
    second = again(folder)
    assert second.annotations == before
    assert second.notices == [
        "autosave: restored 6 annotations on 2 frames of a node that ended before; ~/reset starts over"
    ]
    second.show(2)
    second.click(50, 2, class_id=5)
    numbers = [annotations.frame_number for annotations in second.live._worker.session.annotations]
    assert numbers[0] == numbers[2] != numbers[1]
    assert numbers[-1] == numbers[1], "the same frame when it comes again"
    second.crash()
    third = again(folder)
    assert third.annotations == [*before, (Click(50, 15, 5), 2.0)]
    third.live.close()


def test_undo_redo_clear_and_reset_are_kept(node: Node, folder: Path) -> None:
    node.show(1)
    node.click(20, 1)
    node.click(21, 1)
    node.show(2)
    node.click(22, 2)
    assert len(node.written().pixels) == 2
    assert node.live.undo().result(SECONDS)
    assert len(node.written().annotations) == 2
    assert len(node.files()) == 2, "as it can be made again"
    assert node.live.redo().result(SECONDS)
    assert [entry.shape.x for entry in node.written().annotations] == [20, 21, 22]
    node.live.undo().result(SECONDS)
    node.click(23, 1)
    node.until_files(1)
    node.crash()
    second = again(folder)
    assert second.xs == [20, 21, 23]
    second.live.clear().result(SECONDS)
    assert not second.written().annotations
    second.show(3)
    second.click(24, 3)
    second.until_files(1)
    second.live.reset().result(SECONDS)
    second.crash()
    third = again(folder)
    assert third.annotations == []
    assert not third.notices
    third.live.close()


def test_a_marker_is_taken_back_by_its_id_after_a_kill(node: Node, folder: Path) -> None:
    node.show(1)
    node.click(20, 1)
    node.live.draw(-7, [Click(30, 15, 2), Click(31, 15, 2)], 1.0).result(SECONDS)
    node.live.draw(8, [Click(40, 15, 2)], 1.0).result(SECONDS)
    node.crash()
    second = again(folder)
    second.live.draw(-7, []).result(SECONDS)
    assert second.xs == [20, 40]
    second.crash()
    third = again(folder)
    third.live.draw(8, [Click(41, 15, 2)], 1.0).result(SECONDS)
    assert third.xs == [20, 41]
    third.live.close()


def test_what_the_worker_had_not_taken_yet_is_executed(folder: Path) -> None:
    store = AutosaveFolder(folder)
    frames = [AutosavedFrame(float(seed), store.write_pixels(picture(seed))) for seed in (1, 2)]
    asked = {
        7: PendingCommand("annotate", (Click(21, 15, 1),), frames[1], None),
        8: PendingCommand("draw", (Click(22, 15, 1),), frames[1], 3),
        9: PendingCommand("annotate", (Click(900, 15, 1),), frames[1], None),
        10: PendingCommand("undo", (), None, None),
        11: PendingCommand("draw", (Click(23, 15, 1),), frames[0], 4),
    }
    store.begin(
        "/image", AutosaveState(annotations=[AutosavedAnnotation(Click(20, 15, 1), frames[0])], asked=asked).records()
    )
    store.close()
    node = Node(folder)
    assert node.xs == [20, 21, 23]
    assert "1 refused: click: got (900, 15) on a frame of 64x48" in node.notices[0]
    assert not node.written().asked
    node.live.close()


def test_commands_are_on_disk_while_the_worker_is_busy(node: Node, folder: Path) -> None:
    node.show(1)
    node.click(20, 1)
    node.written()
    with ThreadPoolExecutor(1) as pool:
        release = pool.submit(time.sleep, 1.0)
        node.live._inbox.submit(lambda: release.result(SECONDS))
        began = time.monotonic()
        node.live.annotate(Click(21, 15, 1), 1.0)
        while b'"asked"' not in (folder / "annotations.log").read_bytes():
            assert time.monotonic() < began + SECONDS
            time.sleep(0.001)
        assert not release.done()
    assert [entry.shape.x for entry in node.written().annotations] == [20, 21]


def test_a_session_file_that_was_loaded_is_what_is_taken_up(node: Node, folder: Path, tmp_path: Path) -> None:
    node.show(1)
    node.click(20, 1)
    node.click(21, 1)
    path = tmp_path / "saved.safetensors"
    node.live.save(path).result(SECONDS)
    node.live.clear().result(SECONDS)
    node.live.load(path, lambda config: None).result(SECONDS)
    node.show(2)
    node.click(22, 2)
    # Another session in its place does not matter.
    path.write_bytes(b"")
    path.unlink()
    node.crash()
    second = again(folder)
    assert second.xs == [20, 21, 22]
    for _ in range(2):
        second.live.undo().result(SECONDS)
    second.crash()
    third = again(folder)
    assert third.xs == [20]
    third.live.close()


def test_after_a_clean_shutdown_a_node_starts_over(folder: Path) -> None:
    for restore, taken_up in (("crash", []), ("always", [20])):
        node = again(folder, restore=restore)
        node.live.reset().result(SECONDS)
        node.show(1)
        node.click(20, 1)
        node.live.close()
        second = again(folder, restore=restore)
        assert second.xs == taken_up
        second.live.close()


def test_a_session_of_another_day_is_quarantined(node: Node, folder: Path) -> None:
    node.show(1)
    node.click(20, 1)
    node.crash()
    for age, given in ((1000.0, "1000 s"), (-1000.0, "-1000 s")):
        log = folder / "annotations.log"
        content = log.read_bytes()
        os.utime(log, (time.time() - age, time.time() - age))
        second = again(folder, max_age=300.0)
        assert second.annotations == []
        assert len(second.notices) == 1
        assert given in second.notices[0]
        assert "restore_max_age" in second.notices[0]
        second.live.close()
        quarantine = sorted(folder.parent.glob("segmenter.aside-*"))[-1]
        assert (quarantine / "annotations.log").read_bytes() == content
        for path in quarantine.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())


def damaged_line(content: bytes) -> bytes:
    first, second, rest = content.split(b"\n", 2)
    return b"\n".join([first, second.replace(b"base", b"bass"), rest])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damaged_line, "line 2"),
        (lambda content: b"nonsense\n" * 3, "line 1"),
        (lambda content: b"", "no whole record"),
        (lambda content: encode({"format": "neural_seg_ros annotations", "version": 2}), "format"),
        (lambda content: content + encode(annotations_record(99, [], [])), "keep"),
        (lambda content: content + encode({"session": {"base": "../x.safetensors", "count": 0}}), "file"),
    ],
)
def test_a_damaged_log_is_quarantined_with_one_line(node: Node, folder: Path, damage: Any, said: str) -> None:
    node.show(1)
    node.click(20, 1)
    node.crash()
    log = folder / "annotations.log"
    content = damage(log.read_bytes())
    log.write_bytes(content)
    second = again(folder)
    assert second.annotations == []
    assert len(second.errors) == 1
    assert said in second.errors[0]
    second.show(2)
    second.click(21, 2)
    assert len(second.written().annotations) == 1
    assert len(list(folder.parent.glob("segmenter.aside-*"))) == 1
    second.live.close()


def test_a_torn_last_record_is_not_there(node: Node, folder: Path) -> None:
    node.show(1)
    node.click(20, 1)
    node.crash()
    log = folder / "annotations.log"
    record = encode({"keep": 1, "add": [], "answered": []})
    with log.open("ab") as file:
        file.write(record[: len(record) // 2])
    second = again(folder)
    assert second.xs == [20]
    assert not second.errors
    second.live.close()


def test_two_nodes_of_one_name_do_not_share_a_folder(node: Node, folder: Path) -> None:
    second = again(folder)
    assert second.autosave is None
    assert len(second.errors) == 1
    assert "another process" in second.errors[0]
    second.live.close()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "autosave").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SessionError, match="a link"):
        AutosaveFolder(tmp_path / "autosave" / "segmenter")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_what_ends_each_process_that_takes_it_up_is_quarantined(folder: Path) -> None:
    store = AutosaveFolder(folder)
    name = store.write_pixels(picture(1))
    state = AutosaveState(annotations=[AutosavedAnnotation(Click(20, 15, 1), AutosavedFrame(1.0, name))])
    store.begin("/image", [*state.records(), *[{"restoring": True}] * 10])
    store.close()
    node = Node(folder)
    assert node.annotations == []
    assert "10 processes ended" in node.notices[0]
    node.live.close()


def test_the_oldest_frames_are_let_go_beyond_the_limit(folder: Path) -> None:
    node = Node(folder, megabytes=1)
    big = np.random.default_rng(0).integers(0, 256, (400, 500, 3)).astype(np.uint8)
    for at in range(3):
        image = big + np.uint8(at)
        node.live.offer_frame(lambda image=image: image, float(at), "frame", image.nbytes)
        node.click(20 + at, at)
    end = time.monotonic() + SECONDS
    while len(node.written_lines(b"forgotten")) != 2 and time.monotonic() < end:
        time.sleep(0.01)
    node.until_files(1)
    node.live.close()


@pytest.mark.parametrize(("megabytes", "state"), [(512, 2), (1, 1)])
def test_a_pending_restore_survives_an_undone_command(folder: Path, megabytes: int, state: int) -> None:
    big = np.random.default_rng(0).integers(0, 256, (400, 500, 3)).astype(np.uint8)
    store = AutosaveFolder(folder)
    frames = [AutosavedFrame(float(at), store.write_pixels(big + np.uint8(at))) for at in range(2)]
    store.begin(
        "/image",
        AutosaveState(annotations=[AutosavedAnnotation(Click(20, 15, 1), frame) for frame in frames]).records(),
    )
    store.close()
    said: list[Any] = []

    def autosave() -> Autosave:
        made = open_autosave(
            folder,
            "/image",
            restore="crash",
            max_age=300.0,
            megabytes=megabytes,
            notice=said.append,
            failed=said.append,
        )
        assert made is not None
        return made

    def until_log_has(word: bytes) -> None:
        end = time.monotonic() + SECONDS
        while word not in (folder / "annotations.log").read_bytes():
            assert time.monotonic() < end
            time.sleep(0.01)

    first = autosave()
    number = first.ask("annotate", [Click(21, 15, 1)], Frame(lambda: big + np.uint8(9), 9.0, None, 0, 0.0), None)
    until_log_has(b'"asked"')
    first.answered(number)
    until_log_has(b'"answered":[1]')
    first.close()
    second = autosave()
    assert [entry.frame is not None for entry in second.state.annotations] == [False] * (2 - state) + [True] * state
    assert not second.state.asked
    second.close()
    assert not said


def test_bases_that_were_replaced_at_once_are_deleted(folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved.safetensors"
    saved.write_bytes(b"anything")
    first = Node(folder)
    first.do(lambda: [first.autosave.begin(first.live._worker.now(), saved) for _ in range(3)])
    first.live.close()
    assert len(list(folder.glob("base-*"))) == 1


def test_a_disk_that_fails_is_said_and_made_good(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.show(1)
    node.click(20, 1)
    node.written()

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(node.autosave._store, "append", full)
        patch.setattr(node.autosave._store, "begin", full)
        node.click(21, 1)
        end = time.monotonic() + SECONDS
        while not node.errors and time.monotonic() < end:
            time.sleep(0.01)
    assert "No space left" in node.errors[0]
    node.click(22, 1)
    assert [entry.shape.x for entry in node.written().annotations] == [20, 21, 22]


def test_what_fails_of_one_change_does_not_cost_the_next(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    write, busy, go_on = AutosaveFolder.write_pixels, threading.Event(), threading.Event()

    def broken(store: AutosaveFolder, pixels: Any) -> str:
        if np.array_equal(pixels, picture(2)):
            raise MemoryError("no room for this one")
        return write(store, pixels)

    def slow() -> Any:
        busy.set()
        assert go_on.wait(SECONDS)
        return picture(1)

    monkeypatch.setattr(AutosaveFolder, "write_pixels", broken)
    for seed, look in ((1, slow), (2, lambda: picture(2)), (3, lambda: picture(3))):
        node.autosave.ask("annotate", [Click(seed, 15, 1)], Frame(look, float(seed), None, 0, 0.0), None)
        # What comes from now on comes in one batch.
        assert busy.wait(SECONDS)
    go_on.set()
    node.live.close()
    state, _ = AutosaveFolder(node.folder).read()
    assert [asked.shapes[0].x for asked in state.asked.values()] == [1, 3]
    assert node.errors == ["no room for this one"]


def test_a_damaged_picture_costs_its_own_annotations_alone(node: Node, folder: Path) -> None:
    for seed in (1, 2, 3):
        node.show(seed)
        node.click(20 + seed, seed)
    state = node.written()
    node.crash()
    (folder / f"{state.annotations[1].frame.pixels}.npy").write_bytes(b"\x80\x04K\x01.")  # a pickle
    second = again(folder)
    assert second.xs == [21, 23]
    assert "restored 2 annotations on 2 frames" in second.notices[0]
    assert "1 refused" in second.notices[0]
    assert "damaged" in second.notices[0]
    assert not second.errors
    second.crash()
    assert again(folder).xs == [21, 23]


def test_the_log_does_not_grow_with_what_was_taken_back(node: Node, folder: Path) -> None:
    node.show(1)
    points = tuple((float(x % 60), float(x % 40)) for x in range(5000))
    for _ in range(20):
        node.live.annotate(Stroke(points, 1), 1.0).result(SECONDS)
        node.live.undo().result(SECONDS)
    node.written()
    assert (folder / "annotations.log").stat().st_size < 2**18 + 500_000


def test_records_come_back_as_they_were() -> None:
    frame = AutosavedFrame(0.1 + 0.2, PIXELS)
    state = AutosaveState(
        "base-3.safetensors",
        [AutosavedAnnotation(None, None, of_base=True), AutosavedAnnotation(Click(1 / 3, 2, 5), frame, -3)],
        {4: PendingCommand("draw", (Region(((0, 0), (1, 0), (0.1, 1)), 2),), None, 9)},
        attempts=2,
        ended=True,
    )
    read = AutosaveState()
    for record in decode(b"".join(map(encode, state.records()))):
        read.apply(record)
    assert read == state
    with pytest.raises(SessionFileError, match="do"):
        read.apply({"asked": 1, "do": "__init__", "annotations": [], "frame": None, "key": None})
    with pytest.raises(SessionFileError, match="file"):
        read.apply(
            json.loads(
                json.dumps(
                    {
                        "keep": 0,
                        "add": [{"annotation": None, "frame": [1.0, "../../etc/passwd"], "key": None, "base": False}],
                        "answered": [],
                    }
                )
            )
        )
