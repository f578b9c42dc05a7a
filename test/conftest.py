"""Fixtures of all tests: the data folder, a DDS domain of their own, and a probe that waits for messages.

A ROS test module starts with ``pytest.importorskip("rclpy")``, so that without rclpy it is skipped and not an error.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

DATA_VARIABLE = "NEURAL_SEG_DATA"
DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
DOMAINS = 101  # domain ids 1 to 101 keep the ports of DDS below those the system gives away
_modules = itertools.count()


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Root of the evaluation data: environment variable NEURAL_SEG_DATA, else ../shared/data beside the repository."""
    root = Path(os.environ.get(DATA_VARIABLE, DEFAULT_DATA))
    if not root.is_dir():
        pytest.skip(f"no evaluation data in {root}: set {DATA_VARIABLE}")
    return root


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Address of the scheduler of a Dask cluster on this machine, with two workers."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    import dask

    # Otherwise Dask sets OMP_NUM_THREADS in this very process, and for all that other tests start.
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": {}}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as made,
    ):
        yield made.scheduler_address


@pytest.fixture(scope="module")
def ros_domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Return a DDS domain for this module alone, in the environment, so that processes started by the test share it.

    A home of its own, too: what a node keeps there is not for the nodes of another test run.
    """
    pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)
    # The process id keeps test runs apart that happen at the same time on one machine.
    domain = 1 + (os.getpid() + next(_modules)) % DOMAINS
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield domain


@pytest.fixture(scope="module")
def ros(ros_domain: int) -> Iterator[Any]:
    """rclpy initialized in the module's domain; gives the default context."""
    import rclpy

    rclpy.init(domain_id=ros_domain)
    yield rclpy.get_default_context()
    rclpy.try_shutdown()


class Probe:
    """A node that listens, publishes, and spins until something is true.

    node      its rclpy node: create publishers and clients with it
    executor  spins the probe and every node given to ``add``
    """

    def __init__(self, context: Any) -> None:
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node

        self.node = Node("probe", context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self._added: list[Any] = []

    def add(self, node: Any) -> Any:
        """Spin ``node`` too, and destroy it after the test."""
        self.executor.add_node(node)
        self._added.append(node)
        return node

    def remove(self, node: Any) -> None:
        """Spin a node that was added no more, and destroy it now."""
        self.executor.remove_node(node)
        self._added.remove(node)
        node.destroy_node()

    def listen(self, kind: type, topic: str, qos: Any = 100) -> list[Any]:
        """Subscribe; the list that comes back grows while the probe spins."""
        messages: list[Any] = []
        self.node.create_subscription(kind, topic, messages.append, qos)
        return messages

    def until(self, predicate: Callable[[], Any], seconds: float = 60.0, what: str = "what was waited for") -> None:
        """Spin until ``predicate()`` is true, looking after every callback; fail the test after ``seconds``."""
        deadline = time.monotonic() + seconds
        while not predicate():
            left = deadline - time.monotonic()
            if left <= 0:
                pytest.fail(f"{what} did not happen within {seconds:g} s")
            # Matching of publishers and subscribers raises no event here, so waiting is cut into short pieces.
            self.executor.spin_once(timeout_sec=min(left, 0.05))

    def call(self, kind: type, name: str, request: Any = None, seconds: float = 60.0) -> Any:
        """Call a service once it is there; gives its response."""
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready, seconds, f"service {name}")
        future = client.call_async(kind.Request() if request is None else request)
        self.until(future.done, seconds, f"answer of {name}")
        self.node.destroy_client(client)
        return future.result()

    def close(self) -> None:
        self.executor.shutdown()
        for node in (*self._added, self.node):
            node.destroy_node()


@pytest.fixture
def probe(ros: Any) -> Iterator[Probe]:
    """Return a Probe in the module's domain."""
    made = Probe(ros)
    yield made
    made.close()
