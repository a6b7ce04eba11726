from .base import Strategy
from .registry import STRATEGIES, untrained_strategies

__all__ = ["STRATEGIES", "Strategy", "untrained_strategies"]
