"""The report: one self-contained page made from stored results."""

from superposition.report.page import write_report

__all__ = ["write_report"]
