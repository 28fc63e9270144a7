"""What a test measured on the way, shown at the end of the run, from whichever worker it ran on."""

from collections.abc import Callable

import pytest

Tell = Callable[[str], None]


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Tell:
    """Tell a figure of this test in one line."""

    def tell(line: str) -> None:
        request.node.user_properties.append(("figure", line))

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures of all tests."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    lines = [
        line for report in reports if report.when == "call" for name, line in report.user_properties if name == "figure"
    ]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(str(line))
