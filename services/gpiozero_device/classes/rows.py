"""What a row of the table of classes is made of, and the settings model that is made of a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, cast

import msgspec
from msgspec import Meta

from device_bridge import CommandSpec, Name, OptionalName, Parameter, Quantity, Settings, Value

Line: TypeAlias = Annotated[str, Meta(min_length=1, max_length=130)] | Annotated[int, Meta(ge=0, le=65_535)]
"""A line by its name, as `chip:offset`, or a number as gpiozero has it: 17 is `GPIO17`."""
Interval = Annotated[float, Meta(ge=0.01, le=86_400, description="seconds from report to report")]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class DeviceSettings(Settings, frozen=True, kw_only=True, tag_field="device"):
    """What all devices have in common; `device` is the name of the class."""

    name: Name
    interval: Interval = 60.0


class OutputSettings(DeviceSettings, frozen=True, kw_only=True):
    """What all devices that take commands have in common."""

    source: Annotated[OptionalName, Meta(description="a device whose value it follows, as gpiozero's `source`")] = ""
    max_on: Annotated[Seconds, Meta(description="seconds that it is on at most, then its safe state; 0: any")] = 0.0


class Option(NamedTuple):
    """A parameter of a class's constructor, as a setting.

    Parameters:
        name: as in gpiozero.
        type: for msgspec; its description is the table's.
        default: None with a type that has None; `msgspec.NODEFAULT` for one that is required.
        is_line: whether it names a line, or several.
        drives: whether these are driven: they have a level in the device's safe state.
        shared: whether several devices may name the same line.
        is_driven: whether the device drives it, high and low, so that it needs no resistor.
    """

    name: str
    type: Any
    default: Any = msgspec.NODEFAULT
    is_line: bool = False
    drives: bool = False
    shared: bool = False
    is_driven: bool = False


def line(
    name: str, description: str, *, drives: bool = False, shared: bool = False, optional: bool = False
) -> Option:
    """An option that names a line."""
    kind: Any = Line | None if optional else Line
    default = None if optional else msgspec.NODEFAULT
    return Option(name, Annotated[kind, Meta(description=description)], default, True, drives, shared)


def number(
    name: str, default: float | None, low: float, high: float, description: str, *, whole: bool = False
) -> Option:
    """An option that is a number of a range."""
    kind: Any = int if whole else float
    kind = Annotated[kind, Meta(ge=low, le=high)]
    return Option(name, Annotated[kind | None if default is None else kind, Meta(description=description)], default)


def flag(name: str, default: bool, description: str) -> Option:
    """An option that is true or false."""
    return Option(name, Annotated[bool, Meta(description=description)], default)


def text(
    name: str, description: str, default: Any = msgspec.NODEFAULT, *, pattern: str | None = None, most: int = 200
) -> Option:
    """An option that is a text."""
    meta = Meta(description=description, max_length=most, pattern=pattern)
    return Option(name, Annotated[str, meta], default)


class Measure(NamedTuple):
    """A reading of a device.

    Parameters:
        suffix: of its name behind the device's and a slash; "" for the device's own.
        read: takes it from the device; None where there is no value.
        unit: SenML.
        valid: least and greatest, by the settings.
        description: in a few words.
        absent: why there is no value, when there is none.
    """

    suffix: str
    read: Callable[[Any], Value | None]
    unit: str = ""
    valid: Callable[[Any], tuple[float, float]] | None = None
    description: str = ""
    absent: str = "it has not measured yet"

    def quantity(self, settings: DeviceSettings) -> Quantity:
        """As it is declared."""
        name = f"{settings.name}/{self.suffix}" if self.suffix else settings.name
        return Quantity(name, self.unit, self.valid(settings) if self.valid else None, self.description)


class Event(NamedTuple):
    """Something that gpiozero calls back for.

    Parameters:
        hook: attribute of the device that takes the handler.
        suffix: of the measure that it is about.
        value: that the measure has then; None: all measures are read.
    """

    hook: str
    suffix: str = ""
    value: Value | None = None


class Method(NamedTuple):
    """A command.

    Parameters:
        name: gpiozero's; "" sets the value, and is a command by the device's own name.
        parameters: what goes with it, by settings.
        description: in a few words.
        call: does it; by default the method of this name is called with the parameters.
        goes_on: whether what it begins goes on after it, as a pattern does.
        offered: whether a device with these settings has it.
    """

    name: str
    parameters: Callable[[Any], tuple[Parameter, ...]]
    description: str
    call: Callable[[Any, Mapping[str, Any]], object] | None = None
    goes_on: bool = False
    offered: Callable[[Any], bool] = lambda _: True

    def command(self, settings: DeviceSettings) -> CommandSpec:
        """As it is declared."""
        name = f"{settings.name}/{self.name}" if self.name else settings.name
        return CommandSpec(name, self.parameters(settings), self.description)

    def run(self, device: Any, parameters: Mapping[str, Any]) -> None:
        """Does it, in the device's thread. Raises ValueError and what gpiozero raises."""
        if self.call is not None:
            self.call(device, parameters)
        else:
            getattr(device, self.name)(**parameters)


def always(*parameters: Parameter) -> Callable[[Any], tuple[Parameter, ...]]:
    """Parameters that are the same with all settings."""
    return lambda _: parameters


class Row(NamedTuple):
    """One class of gpiozero.

    Parameters:
        name: of the class.
        about: the device, in a few words.
        options: of its constructor.
        measures: its readings; by settings where these decide.
        events: what it calls back for.
        methods: its commands.
        on, safe: methods that a rule calls, and that bring it into its safe state; "" for a device without outputs.
        sends: `changes`: looked at once a second, sent when changed and at its interval; `all`: at its interval.
        interval: the default.
        check: a problem of settings that are valid one by one, as option and rule; None without.
        keeps: attribute that counts on when it is made again; uncertain then, for it was not watched meanwhile.
        needs_time: whether it goes by the wall clock: no value while that is not set.
        shares: whether devices of this class share what is behind them, as the lines of an SPI bus.
        make: name of a function of `makers` that makes it of settings and pin factory; "" for the class itself.
    """

    name: str
    about: str
    options: tuple[Option, ...]
    measures: tuple[Measure, ...] | Callable[[Any], tuple[Measure, ...]]
    events: tuple[Event, ...] = ()
    methods: tuple[Method, ...] = ()
    on: str = ""
    safe: str = ""
    sends: Literal["changes", "all"] = "changes"
    interval: float = 60.0
    check: Callable[[Any], tuple[str, str] | None] | None = None
    keeps: str = ""
    needs_time: bool = False
    shares: bool = False
    make: str = ""

    def measures_of(self, settings: DeviceSettings) -> tuple[Measure, ...]:
        """The readings of a device with these settings."""
        return self.measures(settings) if callable(self.measures) else self.measures

    def lines_of(self, settings: DeviceSettings, *, driven: bool = False) -> list[tuple[Option, str]]:
        """The lines in its settings, as the pin factory knows them; those that are driven only, if so wanted."""
        found = []
        for option in self.options:
            if option.is_line and (option.drives or not driven):
                value = getattr(settings, option.name)
                several = value if isinstance(value, tuple) else () if value is None else (value,)
                found += [(option, pin_name(each)) for each in several]
        return found

    def methods_of(self, settings: DeviceSettings) -> list[Method]:
        """The commands of a device with these settings."""
        return [method for method in self.methods if method.offered(settings)]

    def externally_driven(self, settings: DeviceSettings) -> set[str]:
        """Lines that the device itself drives."""
        return {name for option, name in self.lines_of(settings) if option.is_driven}

    def safe_levels(self, settings: DeviceSettings) -> dict[str, int]:
        """The level of each driven line in the safe state."""
        level = 0 if getattr(settings, "active_high", True) else 1
        return {name: level for _, name in self.lines_of(settings, driven=True)}

    def model(self) -> type[DeviceSettings]:
        """Its settings."""
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
            (one.name, one.type) if one.default is msgspec.NODEFAULT else (one.name, one.type, one.default)
            for one in self.options
        ]
        fields.append(("interval", Interval, self.interval))
        base = OutputSettings if self.safe else DeviceSettings
        made = msgspec.defstruct(
            self.name, fields, bases=(base,), module=__name__, frozen=True, kw_only=True, tag=self.name
        )
        made.__doc__ = self.about
        return cast(type[DeviceSettings], made)


def pin_name(value: str | int) -> str:
    """A line as the pin factory knows it: a number is that of a GPIO, as in gpiozero."""
    return value if isinstance(value, str) else f"GPIO{value}"


TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?")
