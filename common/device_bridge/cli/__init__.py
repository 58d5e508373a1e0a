"""The command line of services, and what it prints and writes about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .command_docs import commands_table
    from .command_line import run
    from .diagrams import life_cycle_diagram, with_diagrams
    from .readme import with_tables
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "command_docs": ("commands_table",),
            "command_line": ("run",),
            "diagrams": ("life_cycle_diagram", "with_diagrams"),
            "readme": ("with_tables",),
        },
    )

__all__ = ["commands_table", "life_cycle_diagram", "run", "with_diagrams", "with_tables"]
