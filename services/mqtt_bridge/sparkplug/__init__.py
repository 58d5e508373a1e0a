"""Sparkplug B, the format of industrial MQTT hosts: this bridge as one of their edge nodes. No I/O."""

from .edge_node import SparkplugNode, edge_node_of

__all__ = ["SparkplugNode", "edge_node_of"]
