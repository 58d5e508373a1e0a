"""QUALITY.md: the scale as a page, made of the rules."""

from __future__ import annotations

from .table import BADGE, LEVELS, RULES

_HEAD = """# Quality of services

`make lint-services` holds every service against these rules, and `make lint-services SERVICE=name` one. A service is
gold when nothing is found; silver when what is found belongs to gold. Each rule is decided by a machine.

This page is written by `python -m scaffold quality`; the rules are in [rules](rules/table.py).
"""


def page() -> str:
    """The page."""
    parts = [_HEAD]
    for level in LEVELS:
        parts.append(f"## {level.capitalize()}\n")
        parts += [f"### {rule.id}\n\n{rule.says} {rule.reason}\n" for rule in (*RULES, BADGE) if rule.level == level]
    return "\n".join(parts)
