"""The life of a device as a table: its states, what may happen in each, and what is then to be done. No I/O.

`Supervisor` reports events and carries out actions; nothing else decides what becomes of a device. The picture in the
package's README is drawn from `TABLE`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from ..errors import ContractError, SettingsError
from ..service_settings import ServiceSettings, device_settings_differ


class DeviceState(enum.Enum):
    """The state of the device."""

    STARTING = "starting"
    OPENING = "opening"
    OPEN = "open"
    """Opened; nothing has come yet."""
    READING = "reading"
    STALE = "stale"
    """Open, but without a reading for longer than `stale_after`."""
    REOPENING = "reopening"
    """Being closed, to be opened with other settings."""
    FAILING = "failing"
    """Being closed after a failure."""
    FAILED = "failed"
    """Closed after a failure; will be tried again."""
    STOPPING = "stopping"
    """Being closed for good."""
    STOPPED = "stopped"


class Event(enum.Enum):
    """What may happen."""

    START = "start"
    SHARED_SETTINGS = "shared settings"
    """Settings that change nothing of the device."""
    DEVICE_SETTINGS = "device settings"
    """Settings that the device has to be opened with."""
    COMMAND = "command"
    OPENED = "opened"
    SAMPLE = "sample"
    SILENCE = "silence"
    FAILURE = "failure"
    """An error of the device, or an unexpected one."""
    REFUSAL = "refusal"
    """A device cannot be opened with its settings, while others are in force."""
    FATAL = "fatal error"
    """The first settings cannot be used, or the service's class is wrong."""
    CLOSED = "closed"
    RETRY = "retry"
    """The waiting time is over."""
    STOP = "stop"


class Action(enum.Enum):
    """What is to be done about it."""

    OPEN = "open"
    ADOPT = "adopt settings"
    """The settings wanted are in force from now on, for all parts."""
    READ = "read"
    REPORT_RECOVERY = "report recovery"
    REPORT_SILENCE = "report silence"
    REPORT_FAILURE = "report failure"
    REFUSE = "refuse settings"
    """The settings wanted are given up for those in force."""
    CLOSE = "close"
    """Cancels what is being done with the device, then closes it."""
    WAIT = "wait"
    EXECUTE = "execute"
    DECLINE = "decline"
    """The command fails at once."""
    END = "end"


class Step(NamedTuple):
    """What an event leads to."""

    state: DeviceState
    actions: tuple[Action, ...] = ()


class Row(NamedTuple):
    """All events in one state: those that lead somewhere, and those that change nothing and need nothing done."""

    steps: Mapping[Event, Step]
    ignored: frozenset[Event] = frozenset()


_S, _E, _A = DeviceState, Event, Action

_STOP = Step(_S.STOPPING, (_A.CLOSE,))
_REPORTS = {_E.OPENED, _E.SAMPLE, _E.SILENCE, _E.FAILURE, _E.REFUSAL}
"""What an instance of the service reports: too late once its device is being closed."""


def _open(state: DeviceState, steps: dict[Event, Step], ignored: set[Event]) -> Row:
    """A state of an open device."""
    shared = {
        _E.SHARED_SETTINGS: Step(state, (_A.ADOPT,)),
        _E.DEVICE_SETTINGS: Step(_S.REOPENING, (_A.CLOSE,)),
        _E.COMMAND: Step(state, (_A.EXECUTE,)),
        _E.FAILURE: Step(_S.FAILING, (_A.CLOSE,)),
        _E.FATAL: _STOP,
        _E.STOP: _STOP,
    }
    return Row(shared | steps, frozenset({_E.START, _E.OPENED, _E.REFUSAL, _E.CLOSED, _E.RETRY} | ignored))


def _closing(steps: Mapping[Event, Step], ignored: set[Event]) -> Row:
    """A state of a device that is being closed."""
    return Row(steps, frozenset({_E.START, _E.RETRY} | _REPORTS | ignored))


TABLE: Mapping[DeviceState, Row] = MappingProxyType(
    {
        _S.STARTING: Row(
            {
                _E.START: Step(_S.OPENING, (_A.OPEN,)),
                _E.COMMAND: Step(_S.STARTING, (_A.DECLINE,)),
                _E.STOP: Step(_S.STOPPED, (_A.END,)),
            },
            frozenset({_E.SHARED_SETTINGS, _E.DEVICE_SETTINGS, _E.FATAL, _E.CLOSED, _E.RETRY} | _REPORTS),
        ),
        _S.OPENING: Row(
            {
                _E.DEVICE_SETTINGS: Step(_S.REOPENING, (_A.CLOSE,)),
                _E.COMMAND: Step(_S.OPENING, (_A.DECLINE,)),
                _E.OPENED: Step(_S.OPEN, (_A.ADOPT, _A.READ)),
                _E.FAILURE: Step(_S.FAILING, (_A.ADOPT, _A.CLOSE)),
                _E.REFUSAL: Step(_S.REOPENING, (_A.REFUSE, _A.CLOSE)),
                _E.FATAL: _STOP,
                _E.STOP: _STOP,
            },
            frozenset({_E.START, _E.SHARED_SETTINGS, _E.SAMPLE, _E.SILENCE, _E.CLOSED, _E.RETRY}),
        ),
        _S.OPEN: _open(
            _S.OPEN,
            {
                _E.SAMPLE: Step(_S.READING, (_A.REPORT_RECOVERY,)),
                _E.SILENCE: Step(_S.STALE, (_A.REPORT_SILENCE,)),
            },
            set(),
        ),
        _S.READING: _open(_S.READING, {_E.SILENCE: Step(_S.STALE, (_A.REPORT_SILENCE,))}, {_E.SAMPLE}),
        _S.STALE: _open(_S.STALE, {_E.SAMPLE: Step(_S.READING, (_A.REPORT_RECOVERY,))}, {_E.SILENCE}),
        _S.REOPENING: _closing(
            {
                _E.COMMAND: Step(_S.REOPENING, (_A.DECLINE,)),
                _E.CLOSED: Step(_S.OPENING, (_A.OPEN,)),
                _E.FATAL: Step(_S.STOPPING),
                _E.STOP: Step(_S.STOPPING),
            },
            {_E.SHARED_SETTINGS, _E.DEVICE_SETTINGS},
        ),
        _S.FAILING: _closing(
            {
                _E.SHARED_SETTINGS: Step(_S.FAILING, (_A.ADOPT,)),
                _E.DEVICE_SETTINGS: Step(_S.REOPENING, (_A.REPORT_FAILURE,)),
                _E.COMMAND: Step(_S.FAILING, (_A.DECLINE,)),
                _E.CLOSED: Step(_S.FAILED, (_A.REPORT_FAILURE, _A.WAIT)),
                _E.FATAL: Step(_S.STOPPING),
                _E.STOP: Step(_S.STOPPING),
            },
            set(),
        ),
        _S.FAILED: Row(
            {
                _E.SHARED_SETTINGS: Step(_S.FAILED, (_A.ADOPT,)),
                _E.DEVICE_SETTINGS: Step(_S.OPENING, (_A.OPEN,)),
                _E.COMMAND: Step(_S.FAILED, (_A.DECLINE,)),
                _E.RETRY: Step(_S.OPENING, (_A.OPEN,)),
                _E.FATAL: Step(_S.STOPPED, (_A.END,)),
                _E.STOP: Step(_S.STOPPED, (_A.END,)),
            },
            frozenset({_E.START, _E.CLOSED} | _REPORTS),
        ),
        _S.STOPPING: _closing(
            {
                _E.COMMAND: Step(_S.STOPPING, (_A.DECLINE,)),
                _E.CLOSED: Step(_S.STOPPED, (_A.END,)),
            },
            {_E.SHARED_SETTINGS, _E.DEVICE_SETTINGS, _E.FATAL, _E.STOP},
        ),
        _S.STOPPED: Row({_E.COMMAND: Step(_S.STOPPED, (_A.DECLINE,))}, frozenset(set(_E) - {_E.COMMAND})),
    }
)

USABLE = tuple(state for state, row in TABLE.items() if Action.EXECUTE in row.steps[Event.COMMAND].actions)
"""States in which commands are admitted."""

_REASONS = {
    DeviceState.STARTING: "it is not open yet",
    DeviceState.OPENING: "it is being opened",
    DeviceState.REOPENING: "it is being closed",
    DeviceState.FAILING: "it has failed and is being closed",
    DeviceState.STOPPING: "it is being closed",
    DeviceState.STOPPED: "the service is stopping",
}


class LifeCycle:
    """Where a device is in its life, and with which settings.

    Parameters:
        settings: the first.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.state = DeviceState.STARTING
        self.wanted = settings
        """The settings of the instance that is or will be running."""
        self.in_force: ServiceSettings | None = None
        """The last that a device was opened with, or could not be opened with for another reason; None at first."""
        self.refused: ServiceSettings | None = None
        """The last that a device could not be opened with."""
        self.problem = ""
        """What keeps the device from being used, "" when that is nothing but its state."""

    @property
    def reason(self) -> str:
        """Why the device is not usable, "" while it is."""
        return self.problem or _REASONS.get(self.state, "")

    def give(self, settings: ServiceSettings) -> Event:
        """These settings are wanted now; returns the event that this is."""
        concerns_device = device_settings_differ(self.wanted, settings)
        self.wanted = settings
        return Event.DEVICE_SETTINGS if concerns_device else Event.SHARED_SETTINGS

    def classify(self, error: BaseException) -> Event:
        """The event that an error is, of the instance that runs with the settings wanted."""
        if isinstance(error, ContractError):
            return Event.FATAL
        if isinstance(error, SettingsError) and self.state is DeviceState.OPENING:
            if self.in_force is None:
                return Event.FATAL
            if device_settings_differ(self.wanted, self.in_force):
                return Event.REFUSAL
        return Event.FAILURE  # also of settings that were good when they came into force: the device has changed

    def ignores(self, event: Event) -> bool:
        """Whether this changes nothing now."""
        return event in TABLE[self.state].ignored

    def advance(self, event: Event) -> tuple[Action, ...]:
        """Goes on to the next state; returns what is to be done, in this order."""
        if self.ignores(event):
            return ()
        self.state, actions = TABLE[self.state].steps[event]
        if Action.REFUSE in actions and self.in_force is not None:
            self.refused, self.wanted = self.wanted, self.in_force
        elif Action.ADOPT in actions:
            if self.in_force is self.wanted:
                return tuple(action for action in actions if action is not Action.ADOPT)
            self.in_force = self.wanted
        return actions
