"""Which version of a service runs."""

from __future__ import annotations

from iofog_sdk import __version__

from .metrics import Metric


def build_info(service: str) -> Metric:
    """`bridge_build_info`: always 1, with the version and the service's name as labels.

    Parameters:
        service: its name, that of its folder.
    """
    labels = {"version": __version__, "service": service}
    return Metric("bridge_build_info", "gauge", "Version of the service that runs.", 1, labels)
