"""What each ioFog generation knows."""

from .facts import GENERATIONS, Generation, Schema, fields, generations_with, load_schema, resolve

__all__ = ["GENERATIONS", "Generation", "Schema", "fields", "generations_with", "load_schema", "resolve"]
