"""An ioFog agent for one machine, speaking Local API v2 as the Java agent does."""

from .agent import LocalAgent
from .config import AgentConfig, ConfigError, Listen, Microservice, Route, load
from .faults import Faults

__all__ = ["AgentConfig", "ConfigError", "Faults", "Listen", "LocalAgent", "Microservice", "Route", "load"]
