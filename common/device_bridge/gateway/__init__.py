"""Several services in one process, each with its own settings, health and accounting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .bridges import ServiceBridges
    from .checks import check_rules
    from .entries import BridgeSettings, check_entries, service_type_of
    from .gateway_settings import GatewaySettings
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "bridges": ("ServiceBridges",),
            "checks": ("check_rules",),
            "entries": ("BridgeSettings", "check_entries", "service_type_of"),
            "gateway_settings": ("GatewaySettings",),
        },
    )

__all__ = ["BridgeSettings", "GatewaySettings", "ServiceBridges", "check_entries", "check_rules", "service_type_of"]
