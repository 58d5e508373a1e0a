"""Settings that every service has."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from .filters import AnyFilter
from .settings.base import Port, Seconds, Settings


class HttpSettings(Settings, frozen=True, kw_only=True):
    """Where `/healthz`, `/readyz` and `/metrics` are served."""

    port: Annotated[Port | None, Meta(description="TCP port; none serves nothing, 0 takes any free one")] = None
    host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"


class OutboxSettings(Settings, frozen=True, kw_only=True):
    """What is kept until the node has taken it, and where."""

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
    memory_bytes: Annotated[int, Meta(ge=4096, description="bytes waiting in memory that send all to disk")] = (
        1024 * 1024
    )
    spill_after_s: Annotated[Seconds, Meta(description="wait of the oldest message that sends all to disk")] = 2.0
    on_full: Annotated[
        Literal["drop_oldest", "drop_newest", "block_device"],
        Meta(description="what gives way when it is full; `block_device` stops reading"),
    ] = "drop_oldest"


class ServiceSettings(Settings, frozen=True, kw_only=True):
    """What every service can be told. A service adds its own fields in a subclass."""

    source: Annotated[
        str,
        Meta(description="name of this device in messages (SenML base name)", pattern="^[A-Za-z0-9:_./-]*$"),
    ] = ""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="least level of log lines")
    ] = "info"
    trust_clock: Annotated[
        bool, Meta(description="take the system's clock for right even where nothing vouches for it")
    ] = False
    filters: Annotated[
        tuple[AnyFilter, ...],
        Meta(description="what readings go through, in this order; see device_bridge's README"),
    ] = ()
    silent_after: Annotated[
        Seconds, Meta(description="without a reading for this long the last values are marked stale; 0 for never")
    ] = 0.0
    http: HttpSettings = HttpSettings()
    outbox: OutboxSettings = OutboxSettings()


class CommandedSettings(ServiceSettings, frozen=True, kw_only=True):
    """What a service that takes commands can be told besides."""

    max_command_age: Annotated[Seconds, Meta(description="an older command is refused, not executed late")] = 60.0
    command_timeout: Annotated[
        float, Meta(gt=0, le=3600, description="seconds a command may take before it has failed")
    ] = 10.0
