"""How services run beside others in one process: what one of them is given, and what runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from iofog_sdk import IoMessage

from ..outbox.share import AnyOutbox
from ..reading import Forwarded, Sample
from ..telemetry.metrics import Metric
from .uplink import Uplink

Put = Callable[[Sample | Forwarded], None]


class Intake(Protocol):
    """What samples of a hosted service go through before all else."""

    def put(self, sample: Sample | Forwarded) -> None:
        """Takes a sample."""

    def has_room(self) -> bool:
        """Whether the next sample may be read now."""

    async def wait_room(self) -> None:
        """Returns when the next sample may be read."""

    def close(self) -> None:
        """Passes on what is held back."""


class Hosted(NamedTuple):
    """One service among others.

    Parameters:
        name: which distinguishes it from the others.
        uplink: that it shares with them.
        make_intake: makes what its samples go through, out of what takes them then, and of its outbox.
    """

    name: str
    uplink: Uplink
    make_intake: Callable[[Put, AnyOutbox], Intake]


class Bridges(Protocol):
    """What runs the other services of a process, for the one that has the process."""

    @property
    def are_up(self) -> bool:
        """Whether all of their devices can be read."""

    def configure(self, settings: Any) -> None:
        """These settings are in force."""

    async def run(self) -> None:
        """Runs until cancelled."""

    async def stop(self) -> None:
        """Ends them all in order."""

    async def take(self, message: IoMessage) -> None:
        """A message for this microservice."""

    def states(self) -> Mapping[str, str]:
        """The state of each."""

    def readiness(self) -> Mapping[str, Any]:
        """For `/readyz`."""

    def metrics(self, own: Iterable[Metric]) -> Iterator[Metric]:
        """For `/metrics`: with those of the process's own service among them."""
