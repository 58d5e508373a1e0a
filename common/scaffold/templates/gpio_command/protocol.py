"""DEVICE: what its line does. No I/O."""

from __future__ import annotations

from device_bridge import CommandSpec, Parameter, Quantity

SAFE = False
"""Its state at the start, at the end, and when the service has been killed."""
ON = Quantity("on", description="whether it is on, read back from the line")
SET = CommandSpec("set", (Parameter("value", "boolean"),), "switches it on or off")
