"""Makes services from templates."""

from .answers import SHAPES, AnswerError, Answers
from .merging import Change, merge, update
from .project import new_project
from .rendering import generate

__all__ = ["SHAPES", "AnswerError", "Answers", "Change", "generate", "merge", "new_project", "update"]
