"""Test report: how long each notebook took, above pytest's closing line."""

from __future__ import annotations


def pytest_terminal_summary(terminalreporter):
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    lines = [
        text
        for report in reports
        for name, text in report.user_properties
        if name == "notebook" and report.when == "call"
    ]
    if lines:
        terminalreporter.section("notebooks")
        terminalreporter.write("\n".join(sorted(lines)) + "\n")
