"""The line of a service's README that says which level it reaches; `make docs` writes it."""

from __future__ import annotations

import re

from .target import Target

_LINE = re.compile(r"(<!-- quality -->\n).*?(?=<!-- end -->)", re.DOTALL)
_TITLE = re.compile(r"\A(# .*\n)\n")
_PAGE = "common/scaffold/QUALITY.md"


def with_badge(target: Target, level: str) -> str:
    """The service's README with the line for a level; it comes after the title where there is no place for it."""
    text = target.text("README.md")
    if "<!-- quality -->" not in text:
        text = _TITLE.sub(r"\1\n<!-- quality -->\n<!-- end -->\n\n", text)
    named = level or "not bronze yet"
    link = f"[{named}](../../{_PAGE})" if (target.root / _PAGE).exists() else named
    return _LINE.sub(lambda mark: f"{mark[1]}Quality: {link}\n", text)
