"""The quality scale: rules that a service is held against, each decided by a machine."""

from .findings import Finding, level_of, lint, write_badge
from .page import page
from .table import LEVELS, RULES, Rule
from .target import Target, target_of

__all__ = ["LEVELS", "RULES", "Finding", "Rule", "Target", "level_of", "lint", "page", "target_of", "write_badge"]
