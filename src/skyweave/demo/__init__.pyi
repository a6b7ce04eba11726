from .report import DemoReport, write_report

__all__ = [
    "DemoReport",
    "write_report",
]
