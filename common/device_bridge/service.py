"""What a template author subclasses: one device, its settings, its readings."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, get_args, get_origin

from .command import Command, CommandError, CommandSpec, Result
from .control.totals import Totals
from .errors import ContractError
from .node_state import NodeState
from .reading import Forwarded, Quantity, Sample
from .service_settings import CommandedSettings, ServiceSettings

if TYPE_CHECKING:
    from .control.members import Member
    from .outbox.inbound import Inbound

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)
Poll = Callable[[Any], Awaitable[Sample]]
PollT = TypeVar("PollT", bound=Poll)


class Bus(Protocol):
    """What a service owns for as long as its device is open."""

    async def open(self) -> None:
        """Raises DeviceError."""

    async def close(self) -> None:
        """Also called when it could not be opened."""

    def counters(self) -> dict[str, int]:
        """Counts worth exporting."""


BusT = TypeVar("BusT", bound=Bus)


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

    A subclass names its settings model in its base (`DeviceService[GpsSettings]`) and its `quantities`, owns its bus
    (`self.bus = self.own(SerialBus(settings.serial))`), and then either yields samples from `stream` or returns them
    from methods marked with `@every("interval")`. A device that takes commands has settings derived from
    CommandedSettings, its `commands`, and `execute`. It raises DeviceError when the device fails: the runtime then
    closes it, reports every quantity as bad once, and opens it again with back-off. A new instance is made for each
    attempt and for each change of its settings, so nothing needs to be reset; what has to survive that is kept in
    `totals`, or in `kept` if it need not survive the process. `__init__` has no effects outside the instance.

    Parameters:
        settings: complete, valid, and passed by `check_settings`.
    """

    quantities: ClassVar[tuple[Quantity, ...]] = ()
    commands: ClassVar[tuple[CommandSpec, ...]] = ()
    settings_type: ClassVar[type[ServiceSettings]] = ServiceSettings
    _names_settings: ClassVar[bool] = False
    forwards_messages: ClassVar[bool] = False
    """Whether messages of other microservices go to the device: they then wait in `inbound`."""
    hosts_bridges: ClassVar[bool] = False
    """Whether other services run in its process, as its settings (GatewaySettings) say."""

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings
        self.node = NodeState()
        """The state of the link to the node; the runtime puts the real one here before `open`."""
        self.totals = Totals(None)
        """Totals of the process; the runtime puts the real ones here before `open`."""
        self.kept: dict[str, Any] = {}
        """What later instances for this device go on with; the runtime puts the device's own here before `open`."""
        self.inbound: Inbound | None = None
        """Messages for the device, where `forwards_messages`; the runtime puts it here before `open`."""
        self.bridge_states: Callable[[], Mapping[str, str]] = dict
        """Where `hosts_bridges`: the state of each of these services, by its name; \"\" while it can be read."""
        self.members: Sequence[Member] = ()
        """Devices behind this service that have a health of their own."""
        self.log = logging.getLogger(self.name())
        self._owned: list[Bus] = []

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            origin, arguments = get_origin(base), get_args(base)
            if isinstance(origin, type) and issubclass(origin, DeviceService) and isinstance(arguments[0], type):
                cls.settings_type, cls._names_settings = arguments[0], True
        if not cls._names_settings:
            return  # a base of services; checked with the settings of its subclasses
        known = cls.settings_type.__struct_fields__
        for method, setting in cls.polls():
            if setting not in known:
                from iofog_sdk import did_you_mean  # noqa: PLC0415 - needed to help once, not to run

                hint = did_you_mean(setting, known) or f"Its settings are {', '.join(known)}"
                marked = f"{cls.__name__}.{method}: @every({setting!r})"
                raise ContractError(f"{marked} names no setting of {cls.settings_type.__name__}. {hint}")

    @classmethod
    def check_contract(cls) -> None:
        """Raises ContractError when the runtime could not run this class."""
        if not cls.streams() and not cls.polls():
            raise ContractError(
                f"{cls.__name__} has neither `stream` nor a method marked with @every: it would never send a reading"
            )
        executes = cls.execute is not DeviceService.execute
        if executes and not cls.takes_commands():
            settings = cls.settings_type.__name__
            raise ContractError(f"{cls.__name__} has `execute`, but {settings} is no CommandedSettings")
        if not executes and cls.takes_commands():
            raise ContractError(f"{cls.__name__} has CommandedSettings, but no `execute`")

    @classmethod
    def name(cls) -> str:
        """The service's name: that of its folder."""
        return cls.__module__.split(".", maxsplit=1)[0]

    @classmethod
    def check_settings(cls, settings: SettingsT) -> None:
        """Raises SettingsError for settings that are valid one by one, but not together."""

    @classmethod
    def quantities_of(cls, settings: SettingsT) -> tuple[Quantity, ...]:
        """What is measured with these settings; a service whose settings say what it measures overrides this."""
        return cls.quantities

    @classmethod
    def commands_of(cls, settings: SettingsT) -> tuple[CommandSpec, ...]:
        """The commands with these settings; a service whose settings say what it can do overrides this."""
        return cls.commands

    @classmethod
    def readme_tables(cls) -> dict[str, str]:
        """Tables of the README beside those of every service, by their marks."""
        return {}

    @classmethod
    def takes_commands(cls) -> bool:
        """Whether the device takes commands: then the settings model is a CommandedSettings."""
        return issubclass(cls.settings_type, CommandedSettings)

    @classmethod
    def polls(cls) -> list[tuple[str, str]]:
        """Methods marked with `every`, inherited ones included, each with the settings field of its interval."""
        marked: dict[str, str] = {}
        for parent in reversed(cls.__mro__):
            for name, member in vars(parent).items():
                if (setting := getattr(member, "_interval_setting", None)) is not None:
                    marked[name] = setting
        return list(marked.items())

    def own(self, bus: BusT) -> BusT:
        """Has `open` and `close` open and close this bus too; returns it."""
        self._owned.append(bus)
        return bus

    async def open(self) -> None:
        """Opens the device. Raises DeviceError, or SettingsError when retrying cannot help."""
        for bus in self._owned:
            await bus.open()

    async def close(self) -> None:
        """Closes the device; called after every `open`, even a failed one, and given a few seconds."""
        for bus in reversed(self._owned):
            try:
                await bus.close()
            except Exception as error:
                self.log.warning("closing: %s: %s", type(error).__name__, error)

    def stream(self) -> AsyncIterator[Sample | Forwarded]:
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

        The command is one of `commands_of` its settings, with parameters of the declared kinds. Raises CommandError
        when it cannot be done as it is asked, DeviceError when the device does not do it; both become a failed
        result. May be cancelled at any `await` when it takes longer than `command_timeout`, or the device is closed.
        """
        raise CommandError(f"{self.name()} takes no commands")

    def counters(self) -> dict[str, int]:
        """Counts worth exporting that the runtime cannot know, such as checksum errors."""
        return {name: count for bus in self._owned for name, count in bus.counters().items()}


async def _no_samples() -> AsyncIterator[Sample]:
    return
    yield
