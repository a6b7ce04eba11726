"""The demo: one page that shows what the backbone makes of imagery of every sensor."""

from skyweave.demo.report import DemoReport, write_report

__all__ = ["DemoReport", "write_report"]
