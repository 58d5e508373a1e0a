"""Makes services from templates."""

from .answers import SHAPES, AnswerError, Answers
from .generate import generate

__all__ = ["SHAPES", "AnswerError", "Answers", "generate"]
