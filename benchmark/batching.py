"""Steps of several fields on a CPU, each made by its own thread or all in batches: what a step of all costs.

    OMP_NUM_THREADS=1 python benchmark/batching.py --out batching

Each field has a thread that asks for two steps at a time, as a live camera does. The two ways take turns; medians of
the rounds. CPU time is that of the process; wall time depends on what else the machine does. Writes ``batching.md``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from pathlib import Path

import numpy as np

from neural_seg_ros import Click, SessionConfig
from neural_seg_ros.field.batcher import Batcher
from neural_seg_ros.field.steps import make_steps
from neural_seg_ros.files import write_text
from neural_seg_ros.session import Session

# Fields, pixels of the longer side, filters.
CASES = ((2, 64, 32), (4, 64, 32), (8, 64, 32), (2, 160, 64), (4, 160, 64), (8, 160, 64))
AT_A_TIME = 2


def main() -> int:
    """Measure all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("batching"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="steps of a round")
    options = parser.parse_args()
    lines = [
        "| fields | size, filters | CPU ms, own steps | CPU ms, batches | wall ms, own steps | wall ms, batches |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for count, size, width in CASES:
        ways = [False, True]
        rounds = [
            [_step(count, size, width, batched, options.steps) for batched in ways] for _ in range(options.rounds)
        ]
        wall, cpu = (
            [statistics.median(times[way][kind] for times in rounds) for way in range(len(ways))] for kind in range(2)
        )
        cells = [f"{1e3 * seconds:.1f}" for seconds in (*cpu, *wall)]
        lines.append(f"| {count} | {size} px, {width} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    write_text(options.out / "batching.md", "\n".join(lines) + "\n")
    return 0


def _step(count: int, size: int, width: int, batched: bool, steps: int) -> tuple[float, float]:
    """Wall and CPU seconds of a step of all fields."""
    way = Batcher().join if batched else make_steps
    config = SessionConfig.preset("cpu", **{"answer": "field", "field.size": size, "field.width": width})
    image = np.random.default_rng(0).integers(0, 255, (size * 3 // 4, size, 3), np.uint8)
    together = threading.Barrier(count + 1)

    def work(session: Session) -> None:
        session.fit(steps=AT_A_TIME)
        together.wait()
        for _ in range(steps // AT_A_TIME):
            session.fit(steps=AT_A_TIME)
        together.wait()

    sessions = [Session(config, "cpu", way) for _ in range(count)]
    for session in sessions:
        session.observe(image)
        session.annotate(Click(5, 5, 1))
    threads = [threading.Thread(target=work, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    together.wait()
    wall, cpu = time.perf_counter(), time.process_time()
    together.wait()
    made = steps // AT_A_TIME * AT_A_TIME
    spent = (time.perf_counter() - wall) / made, (time.process_time() - cpu) / made
    for thread in threads:
        thread.join()
    return spent


if __name__ == "__main__":
    sys.exit(main())
