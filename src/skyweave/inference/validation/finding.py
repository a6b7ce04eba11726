"""What a validation says: one line for each departure from a standard, with what mends it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """A departure from a standard.

    Attributes:
        severity: ``error``: a reader that follows the standard fails or is misled; ``warning``: a recommendation.
        field: that is concerned.
        problem: in a sentence.
        remedy: in a sentence.
    """

    severity: Severity
    field: str
    problem: str
    remedy: str


@dataclass(frozen=True)
class ValidationReport:
    """What was found in one file or store.

    Attributes:
        path: of it.
        standard: what it was held against.
        findings: errors first; none where it follows the standard.
    """

    path: Path
    standard: str
    findings: tuple[Finding, ...]

    @property
    def is_valid(self) -> bool:
        """Return whether there are no errors."""
        return not any(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        findings = [asdict(finding) for finding in self.findings]
        return {"path": str(self.path), "standard": self.standard, "valid": self.is_valid, "findings": findings}


def sort_findings(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings without repetitions, errors first.

    Args:
        findings: in any order.
    """
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: finding.severity != "error"))
