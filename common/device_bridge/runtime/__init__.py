"""Runs services as processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .process import Runtime
else:
    __getattr__ = lazy_exports(__name__, {"process": ("Runtime",)})

__all__ = ["Runtime"]
