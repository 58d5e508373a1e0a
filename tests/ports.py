"""TCP ports for servers that have to be told theirs."""

from local_agent.ports import free_port

__all__ = ["free_port"]
