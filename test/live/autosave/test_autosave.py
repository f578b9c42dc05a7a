"""Autosave: the log of a session, and the sessions restored from it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
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
from neural_seg_ros.live.inbox import IncomingFrame

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
    """A live session with autosave, as in a node; ``crash`` leaves the folder as a kill would."""

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
        # A restore comes before this command.
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
        return [(each.annotation, each.stamp) for each in self.live._worker.session.annotations]

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
            in_base = [entry for entry in state.annotations if entry.in_base]
            others = [(entry.shape, entry.frame.stamp) for entry in state.annotations if entry.frame is not None]
            if not state.pending and others == wanted[len(in_base) :] and not state.attempts:
                return state
            time.sleep(0.01)
        raise AssertionError((state, wanted))

    def written_lines(self, word: bytes) -> list[bytes]:
        """Return the lines of the log that have a word."""
        return [line for line in (self.folder / "annotations.log").read_bytes().splitlines() if word in line]

    def until_files(self, count: int) -> None:
        """Wait until there are pixels of ``count`` frames; files are deleted after the record is written."""
        end = time.monotonic() + SECONDS
        while len(self.files()) != count:
            assert time.monotonic() < end, self.files()
            time.sleep(0.01)

    def crash(self) -> None:
        """Close, and remove the last record: it says that the shutdown was clean, which a kill would not write."""
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
    """Close all nodes, as the worker of a failed test would keep this process alive."""
    yield
    while NODES:
        NODES.pop().live.close()


def restart(folder: Path, **options: Any) -> Node:
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
    second = restart(folder)
    assert second.annotations == before
    assert second.notices == [
        "autosave: restored 6 annotations on 2 frames of a node that ended before; ~/reset starts over"
    ]
    second.show(2)
    second.click(50, 2, class_id=5)
    numbers = [each.frame_number for each in second.live._worker.session.annotations]
    assert numbers[0] == numbers[2] != numbers[1]
    assert numbers[-1] == numbers[1], "the same frame when it comes again"
    second.crash()
    third = restart(folder)
    assert third.annotations == [*before, (Click(50, 15, 5), 2.0)]
    third.live.close()


def test_undo_redo_clear_and_reset_are_saved(node: Node, folder: Path) -> None:
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
    second = restart(folder)
    assert second.xs == [20, 21, 23]
    second.live.clear().result(SECONDS)
    assert not second.written().annotations
    second.show(3)
    second.click(24, 3)
    second.until_files(1)
    second.live.reset().result(SECONDS)
    second.crash()
    third = restart(folder)
    assert third.annotations == []
    assert not third.notices
    third.live.close()


def test_a_drawing_is_removed_by_its_id_after_a_kill(node: Node, folder: Path) -> None:
    node.show(1)
    node.click(20, 1)
    node.live.draw(-7, [Click(30, 15, 2), Click(31, 15, 2)], 1.0).result(SECONDS)
    node.live.draw(8, [Click(40, 15, 2)], 1.0).result(SECONDS)
    node.crash()
    second = restart(folder)
    second.live.draw(-7, []).result(SECONDS)
    assert second.xs == [20, 40]
    second.crash()
    third = restart(folder)
    third.live.draw(8, [Click(41, 15, 2)], 1.0).result(SECONDS)
    assert third.xs == [20, 41]
    third.live.close()


def test_pending_commands_are_executed_by_a_restore(folder: Path) -> None:
    store = AutosaveFolder(folder)
    frames = [AutosavedFrame(float(seed), store.write_pixels(picture(seed))) for seed in (1, 2)]
    pending = {
        7: PendingCommand("annotate", (Click(21, 15, 1),), frames[1], None),
        8: PendingCommand("draw", (Click(22, 15, 1),), frames[1], 3),
        9: PendingCommand("annotate", (Click(900, 15, 1),), frames[1], None),
        10: PendingCommand("undo", (), None, None),
        11: PendingCommand("draw", (Click(23, 15, 1),), frames[0], 4),
    }
    store.begin(
        "/image",
        AutosaveState(annotations=[AutosavedAnnotation(Click(20, 15, 1), frames[0])], pending=pending).records(),
    )
    store.close()
    node = Node(folder)
    assert node.xs == [20, 21, 23]
    assert "1 refused: click: got (900, 15) on a frame of 64x48" in node.notices[0]
    assert not node.written().pending
    node.live.close()


def test_commands_are_on_disk_while_the_worker_is_busy(node: Node) -> None:
    node.show(1)
    node.click(20, 1)
    node.written()
    release = threading.Event()
    busy = node.live._inbox.submit(lambda: release.wait(SECONDS))
    logged = len(node.written_lines(b'"asked"'))
    began = time.monotonic()
    clicked = node.live.annotate(Click(21, 15, 1), 1.0)
    while len(node.written_lines(b'"asked"')) == logged:
        assert time.monotonic() < began + SECONDS
        time.sleep(0.001)
    assert not busy.done()
    release.set()
    clicked.result(SECONDS)
    assert [entry.shape.x for entry in node.written().annotations] == [20, 21]


def test_a_loaded_session_file_is_restored(node: Node, folder: Path, tmp_path: Path) -> None:
    node.show(1)
    node.click(20, 1)
    node.click(21, 1)
    path = tmp_path / "saved.safetensors"
    node.live.save(path).result(SECONDS)
    node.live.clear().result(SECONDS)
    node.live.load(path, lambda config: None).result(SECONDS)
    node.show(2)
    node.click(22, 2)
    # The file may be overwritten and deleted meanwhile.
    path.write_bytes(b"")
    path.unlink()
    node.crash()
    second = restart(folder)
    assert second.xs == [20, 21, 22]
    for _ in range(2):
        second.live.undo().result(SECONDS)
    second.crash()
    third = restart(folder)
    assert third.xs == [20]
    third.live.close()


def test_after_a_clean_shutdown_a_node_starts_over(folder: Path) -> None:
    for restore, restored in (("crash", []), ("always", [20])):
        node = restart(folder, restore=restore)
        node.live.reset().result(SECONDS)
        node.show(1)
        node.click(20, 1)
        node.live.close()
        second = restart(folder, restore=restore)
        assert second.xs == restored
        second.live.close()


def test_a_session_of_another_day_is_quarantined(node: Node, folder: Path) -> None:
    node.show(1)
    node.click(20, 1)
    node.crash()
    for age, text in ((1000.0, "1000 s"), (-1000.0, "-1000 s")):
        log = folder / "annotations.log"
        content = log.read_bytes()
        os.utime(log, (time.time() - age, time.time() - age))
        second = restart(folder, max_age=300.0)
        assert second.annotations == []
        assert len(second.notices) == 1
        assert text in second.notices[0]
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
    ("damage", "text"),
    [
        (damaged_line, "line 2"),
        (lambda content: b"nonsense\n" * 3, "line 1"),
        (lambda content: b"", "no whole record"),
        (lambda content: encode({"format": "neural_seg_ros annotations", "version": 2}), "format"),
        (lambda content: content + encode(annotations_record(99, [], [])), "keep"),
        (lambda content: content + encode({"session": {"base": "../x.safetensors", "count": 0}}), "file"),
    ],
)
def test_a_damaged_log_is_quarantined_with_one_line(node: Node, folder: Path, damage: Any, text: str) -> None:
    node.show(1)
    node.click(20, 1)
    node.crash()
    log = folder / "annotations.log"
    content = damage(log.read_bytes())
    log.write_bytes(content)
    second = restart(folder)
    assert second.annotations == []
    assert len(second.errors) == 1
    assert text in second.errors[0]
    second.show(2)
    second.click(21, 2)
    assert len(second.written().annotations) == 1
    assert len(list(folder.parent.glob("segmenter.aside-*"))) == 1
    second.live.close()


def test_an_incomplete_last_record_is_ignored(node: Node, folder: Path) -> None:
    node.show(1)
    node.click(20, 1)
    node.crash()
    log = folder / "annotations.log"
    record = encode({"keep": 1, "add": [], "answered": []})
    with log.open("ab") as file:
        file.write(record[: len(record) // 2])
    second = restart(folder)
    assert second.xs == [20]
    assert not second.errors
    second.live.close()


def test_two_nodes_of_one_name_do_not_share_a_folder(node: Node, folder: Path) -> None:
    second = restart(folder)
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


def test_a_state_that_ended_ten_processes_is_quarantined(folder: Path) -> None:
    store = AutosaveFolder(folder)
    name = store.write_pixels(picture(1))
    state = AutosaveState(annotations=[AutosavedAnnotation(Click(20, 15, 1), AutosavedFrame(1.0, name))])
    store.begin("/image", [*state.records(), *[{"restoring": True}] * 10])
    store.close()
    node = Node(folder)
    assert node.annotations == []
    assert "10 processes ended" in node.notices[0]
    node.live.close()


def test_the_oldest_frames_are_dropped_beyond_the_limit(folder: Path) -> None:
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


@pytest.mark.parametrize(("megabytes", "frame_count"), [(512, 2), (1, 1)])
def test_a_pending_restore_survives_an_undone_command(folder: Path, megabytes: int, frame_count: int) -> None:
    big = np.random.default_rng(0).integers(0, 256, (400, 500, 3)).astype(np.uint8)
    store = AutosaveFolder(folder)
    frames = [AutosavedFrame(float(at), store.write_pixels(big + np.uint8(at))) for at in range(2)]
    store.begin(
        "/image",
        AutosaveState(annotations=[AutosavedAnnotation(Click(20, 15, 1), frame) for frame in frames]).records(),
    )
    store.close()
    reports: list[Any] = []

    def autosave() -> Autosave:
        made = open_autosave(
            folder,
            "/image",
            restore="crash",
            max_age=300.0,
            megabytes=megabytes,
            notice=reports.append,
            failed=reports.append,
        )
        assert made is not None
        return made

    def until_log_has(word: bytes) -> None:
        end = time.monotonic() + SECONDS
        while word not in (folder / "annotations.log").read_bytes():
            assert time.monotonic() < end
            time.sleep(0.01)

    first = autosave()
    number = first.log_command(
        "annotate", [Click(21, 15, 1)], IncomingFrame(lambda: big + np.uint8(9), 9.0, None, 0, 0.0), None
    )
    until_log_has(b'"asked"')
    first.log_outcome(number)
    until_log_has(b'"answered":[1]')
    first.close()
    second = autosave()
    assert [entry.frame is not None for entry in second.state.annotations] == [False] * (2 - frame_count) + [
        True
    ] * frame_count
    assert not second.state.pending
    second.close()
    assert not reports


def test_bases_that_were_replaced_at_once_are_deleted(folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved.safetensors"
    saved.write_bytes(b"anything")
    first = Node(folder)
    first.do(lambda: [first.autosave.log_new_session(first.live._worker.snapshot(), saved) for _ in range(3)])
    first.live.close()
    assert len(list(folder.glob("base-*"))) == 1


def test_a_full_disk_is_reported_and_recovered_from(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.show(1)
    node.click(20, 1)
    node.written()

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(node.autosave._folder, "append", full)
        patch.setattr(node.autosave._folder, "begin", full)
        node.click(21, 1)
        end = time.monotonic() + SECONDS
        while not node.errors and time.monotonic() < end:
            time.sleep(0.01)
    assert "No space left" in node.errors[0]
    node.click(22, 1)
    assert [entry.shape.x for entry in node.written().annotations] == [20, 21, 22]


def test_a_failed_record_does_not_cost_the_next(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
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
    for seed, read in ((1, slow), (2, lambda: picture(2)), (3, lambda: picture(3))):
        node.autosave.log_command(
            "annotate", [Click(seed, 15, 1)], IncomingFrame(read, float(seed), None, 0, 0.0), None
        )
        # The commands from now on are written in one batch.
        assert busy.wait(SECONDS)
    go_on.set()
    node.live.close()
    state, _ = AutosaveFolder(node.folder).read()
    assert [command.shapes[0].x for command in state.pending.values()] == [1, 3]
    assert node.errors == ["no room for this one"]


def test_a_damaged_picture_costs_its_own_annotations_alone(node: Node, folder: Path) -> None:
    for seed in (1, 2, 3):
        node.show(seed)
        node.click(20 + seed, seed)
    state = node.written()
    node.crash()
    (folder / f"{state.annotations[1].frame.pixels}.npy").write_bytes(b"\x80\x04K\x01.")  # a pickle
    second = restart(folder)
    assert second.xs == [21, 23]
    assert "restored 2 annotations on 2 frames" in second.notices[0]
    assert "1 refused" in second.notices[0]
    assert "damaged" in second.notices[0]
    assert not second.errors
    second.crash()
    assert restart(folder).xs == [21, 23]


def test_the_log_does_not_grow_with_undone_annotations(node: Node, folder: Path) -> None:
    node.show(1)
    points = tuple((float(x % 60), float(x % 40)) for x in range(5000))
    for _ in range(20):
        node.live.annotate(Stroke(points, 1), 1.0).result(SECONDS)
        node.live.undo().result(SECONDS)
    node.written()
    assert (folder / "annotations.log").stat().st_size < 2**18 + 500_000


def test_records_round_trip() -> None:
    frame = AutosavedFrame(0.1 + 0.2, PIXELS)
    state = AutosaveState(
        "base-3.safetensors",
        [AutosavedAnnotation(None, None, in_base=True), AutosavedAnnotation(Click(1 / 3, 2, 5), frame, -3)],
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
