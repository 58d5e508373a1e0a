"""Holds services against the rules."""

from __future__ import annotations

from typing import NamedTuple

from .badge import with_badge
from .table import BADGE, LEVELS, RULES, Rule
from .target import Target


class Finding(NamedTuple):
    """What of a service is against a rule."""

    rule: Rule
    text: str


def lint(target: Target, *, runs: bool = True) -> list[Finding]:
    """Everything that is found in a service, the lowest level first.

    Parameters:
        target: the service.
        runs: by rules, too, that take it to run.
    """
    found: list[Finding] = []
    for rule in RULES:
        if rule.runs and not runs:
            continue
        try:
            found += [Finding(rule, text) for text in rule.check(target)]
        except Exception as error:  # a service that cannot be looked at is a finding, not the end
            found.append(Finding(rule, f"cannot be checked: {type(error).__name__}: {error}"))
    without_running = [finding for finding in found if not finding.rule.runs]
    if with_badge(target, level_of(without_running)) != target.text("README.md"):
        found.append(Finding(BADGE, "README.md does not say which level it reaches. Run: make docs"))
    return found


def write_badge(target: Target) -> None:
    """Has the service's README say which level it reaches, by the rules that need nothing to run."""
    found = [finding for finding in lint(target, runs=False) if finding.rule is not BADGE]
    (target.folder / "README.md").write_text(with_badge(target, level_of(found)))


def level_of(findings: list[Finding]) -> str:
    """The level that a service with these findings reaches, "" for none."""
    missed = {finding.rule.level for finding in findings}
    reached = ""
    for level in LEVELS:
        if level in missed:
            break
        reached = level
    return reached
