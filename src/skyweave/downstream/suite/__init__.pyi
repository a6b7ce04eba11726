from .run import SuiteConfig, run_suite
from .summary import SuiteSummary

__all__ = ["SuiteConfig", "SuiteSummary", "run_suite"]
