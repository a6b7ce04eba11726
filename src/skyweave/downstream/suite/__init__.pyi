from .config import SuiteConfig
from .run import run_suite
from .summary import SuiteSummary

__all__ = ["SuiteConfig", "SuiteSummary", "run_suite"]
