from .sinks.client import Client

__all__ = [
    "Client",
]
