from .finding import Finding, ValidationReport
from .validators import VALIDATORS, validate_output

__all__ = ["VALIDATORS", "Finding", "ValidationReport", "validate_output"]
