"""What a template author subclasses: one device, its settings, its readings."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_args, get_origin

from .command import Command, CommandError, Result
from .node_state import NodeState
from .reading import Passed, Quality, Quantity, Reading, Sample
from .service_settings import CommandedSettings, ServiceSettings

if TYPE_CHECKING:
    from .outbox.inbound import Incoming

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)
Poll = Callable[[Any], Awaitable[Sample]]
PollT = TypeVar("PollT", bound=Poll)


def every(setting: str) -> Callable[[PollT], PollT]:
    """Marks a method that is called at an interval and returns a sample.

    Parameters:
        setting: name of the settings field that holds the interval in seconds.
    """

    def mark(poll: PollT) -> PollT:
        poll._interval_setting = setting  # type: ignore[attr-defined]  # read by DeviceService.polls
        return poll

    return mark


class DeviceService(Generic[SettingsT]):
    """One device and what it measures.

    A subclass names its settings model in its base (`DeviceService[GpsSettings]`) and its `quantities`, opens the
    device in `open`, and then either yields samples from `stream` or returns them from methods marked with
    `@every("interval")`. A device that can be told something has settings derived from CommandedSettings, and
    `execute`. It raises DeviceError when the device fails: the runtime then closes it, reports every
    quantity as bad once, and opens it again with back-off. A new instance is made for each attempt and for each
    change of settings, so nothing needs to be reset.

    Parameters:
        settings: complete and valid.
    """

    quantities: ClassVar[tuple[Quantity, ...]] = ()
    settings_type: ClassVar[type[ServiceSettings]] = ServiceSettings
    passes_messages_on: ClassVar[bool] = False
    """Whether messages of other microservices go to the device: they then wait in `incoming`."""

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings
        self.node = NodeState()
        """How it stands with the node; the runtime puts the real one here before `open`."""
        self.incoming: Incoming | None = None
        """Messages for the device, where `passes_messages_on`; the runtime puts it here before `open`."""
        self.log = logging.getLogger(self.name())

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            if get_origin(base) is DeviceService:
                cls.settings_type = get_args(base)[0]

    @classmethod
    def name(cls) -> str:
        """The service's name: that of its folder."""
        return cls.__module__.split(".", maxsplit=1)[0]

    @classmethod
    def quantities_of(cls, settings: SettingsT) -> tuple[Quantity, ...]:
        """What is measured with these settings; a service whose settings say what it measures overrides this."""
        return cls.quantities

    @classmethod
    def takes_commands(cls) -> bool:
        """Whether the device can be told something: then the settings model is a CommandedSettings."""
        return issubclass(cls.settings_type, CommandedSettings)

    @classmethod
    def polls(cls) -> list[tuple[str, str]]:
        """Methods marked with `every`, each with the settings field of its interval."""
        marked = ((name, getattr(member, "_interval_setting", None)) for name, member in vars(cls).items())
        return [(name, setting) for name, setting in marked if setting is not None]

    async def open(self) -> None:
        """Opens the device. Raises DeviceError, or SettingsError when retrying cannot help."""

    async def close(self) -> None:
        """Closes the device; called after every `open`, even a failed one."""

    def stream(self) -> AsyncIterator[Sample | Passed]:
        """Yields samples as the device sends them, until it fails.

        May be cancelled at any `await`; a sample that was read before is to be yielded before the next `await`.
        """
        return _no_samples()  # a service that only polls

    @classmethod
    def streams(cls) -> bool:
        """Whether the service yields samples by itself."""
        return cls.stream is not DeviceService.stream

    async def execute(self, command: Command) -> Result:
        """Does what a command asks for, one command at a time, while readings go on.

        Raises CommandError when it cannot be done as it is asked, DeviceError when the device does not do it; both
        become a failed result. May be cancelled at any `await` when it takes longer than `command_timeout`.
        """
        raise CommandError(f"{self.name()} takes no commands")

    def counters(self) -> dict[str, int]:
        """Counts worth exporting that the runtime cannot know, such as checksum errors."""
        return {}

    def all_bad(self, reason: str) -> list[Reading]:
        """Every quantity without a value, for this reason."""
        return [
            Reading(q.name, None, q.unit, quality=Quality.BAD, reason=reason)
            for q in self.quantities_of(self.settings)
        ]


async def _no_samples() -> AsyncIterator[Sample]:
    return
    yield
