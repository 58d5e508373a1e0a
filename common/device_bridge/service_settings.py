"""Settings that every service has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from .filters import AnyFilter
from .settings.base import Port, Seconds, Settings


class HttpSettings(Settings, frozen=True, kw_only=True):
    """Where `/healthz`, `/readyz` and `/metrics` are served."""

    port: Annotated[Port | None, Meta(description="TCP port; none serves nothing, 0 takes any free one")] = None
    host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    readings_as_metrics: Annotated[
        bool, Meta(description="offer the latest reading of each quantity at `/metrics` too")
    ] = False


class OutboxSettings(Settings, frozen=True, kw_only=True):
    """Messages that wait for the node: how many, and where."""

    renamed: ClassVar[Mapping[str, str]] = {"spill_after_s": "spill_after"}
    renamed_values: ClassVar[Mapping[str, Mapping[str, str]]] = {"on_full": {"block_device": "pause_reading"}}

    durability: Annotated[
        Literal["memory", "spill", "always"],
        Meta(
            description="`memory`: never on disk; `spill`: on disk when the node is away or slow; "
            "`always`: on disk before it is sent"
        ),
    ] = "spill"
    directory: Annotated[
        str, Meta(description="folder for the file; by default `$STATE_DIRECTORY`; without one, 8 MiB in memory")
    ] = ""
    sync: Annotated[
        Literal["normal", "full"],
        Meta(description="`full` loses nothing in a power cut; `normal` may lose the last commits and wears less"),
    ] = "normal"
    max_bytes: Annotated[int, Meta(ge=4096, description="most bytes kept, on disk and in memory")] = 64 * 1024 * 1024
    max_messages: Annotated[int, Meta(ge=1, description="most messages kept")] = 1_000_000
    memory_bytes: Annotated[
        int, Meta(ge=4096, description="bytes waiting in memory that are written to disk at once")
    ] = 1024 * 1024
    spill_after: Annotated[Seconds, Meta(description="seconds a message may wait before it is written to disk")] = 2.0
    on_full: Annotated[
        Literal["drop_oldest", "drop_newest", "pause_reading"],
        Meta(
            description="overflow policy: what is dropped when it is full; `pause_reading` stops reading the device"
        ),
    ] = "drop_oldest"


class ServiceSettings(Settings, frozen=True, kw_only=True):
    """Settings of every service. A service adds its own fields in a subclass."""

    renamed: ClassVar[Mapping[str, str]] = {"silent_after": "stale_after"}

    source: Annotated[
        str,
        Meta(description="name of this device in messages (SenML base name)", pattern="^[A-Za-z0-9:_./-]*$"),
    ] = ""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="minimum log level")] = "info"
    trust_clock: Annotated[
        bool, Meta(description="take the system's clock as correct even without a real-time clock or time server")
    ] = False
    filters: Annotated[
        tuple[AnyFilter, ...],
        Meta(description="filters that readings pass, in this order; see device_bridge's README"),
    ] = ()
    stale_after: Annotated[
        Seconds,
        Meta(
            description="seconds without a reading after which a quantity's last value is marked stale; 0 for never"
        ),
    ] = 0.0
    announce: Annotated[
        Seconds,
        Meta(
            description="seconds between messages that say what this service is, how its device is and which "
            "commands it takes, for live_dashboard; 0 for none"
        ),
    ] = 0.0
    http: HttpSettings = HttpSettings()
    outbox: OutboxSettings = OutboxSettings()


class CommandedSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of every service that takes commands."""

    max_command_age: Annotated[Seconds, Meta(description="an older command is refused, not executed late")] = 60.0
    command_timeout: Annotated[
        float, Meta(gt=0, le=3600, description="seconds a command may take before it has failed")
    ] = 10.0


_SHARED = frozenset(CommandedSettings.__struct_fields__)


def device_settings_differ(one: ServiceSettings, other: ServiceSettings) -> bool:
    """Whether settings differ in what a service has of its own, so that its device has to be opened again."""
    return any(getattr(one, name) != getattr(other, name) for name in one.__struct_fields__ if name not in _SHARED)
