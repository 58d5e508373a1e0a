"""All classes of gpiozero that this service knows, and what is made of the table: settings, README."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from .motors import MOTORS
from .outputs import OUTPUTS
from .rows import DeviceSettings, Row
from .sensors import SENSORS

ROWS: dict[str, Row] = {row.name: row for row in (*SENSORS, *OUTPUTS, *MOTORS)}
MODELS: dict[str, type[DeviceSettings]] = {name: row.model() for name, row in ROWS.items()}

if TYPE_CHECKING:
    AnyDevice = DeviceSettings
else:
    AnyDevice = Union[tuple(MODELS.values())]  # noqa: UP007 - of as many as there are rows


def row_of(settings: DeviceSettings) -> Row:
    """The row of a device with these settings."""
    return ROWS[type(settings).__name__]
