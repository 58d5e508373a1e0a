"""What each ioFog generation knows."""

from .facts import GENERATIONS, Generation

__all__ = ["GENERATIONS", "Generation"]
