"""Modules imported at first use: those behind a package's names, and those that a library imports in vain.

A container pays in memory and start time for every module it imports; most need only a part of a package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import ModuleType
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


def import_when_used(name: str, **until_then: object) -> None:
    """Has a module imported when one of its names is first used, by whomever, unless it has been imported already.

    For one that a library imports though few programs need it.

    Parameters:
        name: of the module.
        until_then: names that can be used without it, and their values.
    """
    if name not in sys.modules:
        sys.modules[name] = _WhenUsed(name)
        vars(sys.modules[name]).update(until_then)


class _WhenUsed(ModuleType):
    """Stands for a module until one of its names is used, and has all of them from then on."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what looks through all modules asks for __file__ and the like
            raise AttributeError(f"module {self.__name__!r} has not been used yet, and has no {name}")
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        module = import_module(self.__name__)
        vars(self).update(vars(module))
        return getattr(module, name)
