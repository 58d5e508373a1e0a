"""Holds services against the rules."""

from __future__ import annotations

from typing import NamedTuple

from .table import LEVELS, RULES, Rule
from .target import Target


class Finding(NamedTuple):
    """What of a service is against a rule."""

    rule: Rule
    text: str


def lint(target: Target) -> list[Finding]:
    """Everything that is found in a service, the lowest level first."""
    found = []
    for rule in RULES:
        try:
            found += [Finding(rule, text) for text in rule.check(target)]
        except Exception as error:  # a service that cannot be looked at is a finding, not the end
            found.append(Finding(rule, f"cannot be checked: {type(error).__name__}: {error}"))
    return found


def level_of(findings: list[Finding]) -> str:
    """The level that a service with these findings reaches, "" for none."""
    missed = {finding.rule.level for finding in findings}
    reached = ""
    for level in LEVELS:
        if level in missed:
            break
        reached = level
    return reached
