"""Fleets: what runs on which nodes, read from a file, rendered as manifests, deployed."""

from .files import check_rendered_files, differences, write_files
from .model import Fleet, FleetError
from .reading import read_fleet
from .rendering import render
from .rollout import deploy, find_tool, nodes_wanted
from .starting import starter

__all__ = [
    "Fleet",
    "FleetError",
    "check_rendered_files",
    "deploy",
    "differences",
    "find_tool",
    "nodes_wanted",
    "read_fleet",
    "render",
    "starter",
    "write_files",
]
