"""Names of a package whose modules are imported at first use.

A container pays in memory and start time for every module it imports; most need only a part of a package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_exports(package: str, modules: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Makes a package's `__getattr__` (PEP 562).

    Parameters:
        package: its `__name__`.
        modules: names, by the module in the package that defines them.
    """
    defined_in = {name: module for module, names in modules.items() for name in names}

    def __getattr__(name: str) -> Any:  # noqa: N807 - the hook's own name
        if name not in defined_in:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f".{defined_in[name]}", package), name)

    return __getattr__
