from .sinks.client import FleetClient

__all__ = [
    "FleetClient",
]
