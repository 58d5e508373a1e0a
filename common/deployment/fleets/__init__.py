"""Fleets: what runs on which nodes, read from a file, rendered as manifests, deployed."""

from .model import Fleet, FleetError, needs_of
from .reading import read_fleet, service_type_of
from .rendering import render
from .rollout import deploy, find_tool

__all__ = ["Fleet", "FleetError", "deploy", "find_tool", "needs_of", "read_fleet", "render", "service_type_of"]
