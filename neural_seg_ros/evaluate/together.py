"""Games on several images side by side, whose sessions fit their fields together."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from neural_seg_ros.evaluate.play import Plan, Run, Task, fits, play, play_with


def groups_of(plan: Plan) -> list[tuple[int, ...]]:
    """The numbers of ``plan.tasks()``, each once, in groups that are played together.

    Those of one contestant that fits, one game and images of one size are, up to ``plan.batch`` of them.
    """
    if plan.batch == 1:
        return [(number,) for number in range(len(plan.tasks()))]
    shapes = {item.name: item.load(plan.longer_side).image.shape for item in plan.items}
    groups: list[tuple[int, ...]] = []
    alike: dict[object, list[int]] = {}
    for number, task in enumerate(plan.tasks()):
        if fits(task.contestant):
            key = task.contestant.name, task.game.start, shapes[task.item.name]
            alike.setdefault(key, []).append(number)
        else:
            groups.append((number,))
    for numbers in alike.values():
        groups += [tuple(numbers[first : first + plan.batch]) for first in range(0, len(numbers), plan.batch)]
    return groups


def play_together(tasks: Sequence[Task]) -> list[Run]:
    """A game each, in their order: more than one in threads that make the steps of their fits in lock-step."""
    if len(tasks) == 1:
        return [play(tasks[0])]
    # Peers alone need no torch.
    from neural_seg_ros.evaluate.ours import SessionLabeller
    from neural_seg_ros.field.batcher import Batcher

    batcher = Batcher(wait_for=len(tasks))

    def play_one(task: Task) -> Run:
        config, device = task.contestant.config, task.contestant.device
        assert config is not None
        assert device is not None
        try:
            return play_with(SessionLabeller(config, device, batcher.join), task)
        finally:
            batcher.leave()

    with ThreadPoolExecutor(len(tasks)) as threads:
        return list(threads.map(play_one, tasks))
