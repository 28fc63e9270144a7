"""`doctor`: looks at everything that can be wrong and says how to mend it."""

from typing import TYPE_CHECKING

import typer

from onethread.app.cli.running import Data, run, settings_of

if TYPE_CHECKING:
    from rich.table import Table

    from onethread.app.checkup import Finding

_MARKS = {"well": "[green]✓[/]", "beware": "[yellow]![/]", "broken": "[red]✗[/]"}


def doctor(data: Data = None) -> None:
    """Check the database, the disk, the clock, the accounts and the rest; status 1 when something is broken."""
    from rich.console import Console

    from onethread.app import checkup

    findings = run(checkup.check(settings_of(data)))
    Console(soft_wrap=True).print(_table(findings))
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)


def _table(findings: "list[Finding]") -> "Table":
    from rich.table import Table

    table = Table(box=None, show_header=False)
    for finding in findings:
        table.add_row(_MARKS[finding.state], finding.what, finding.words)
    return table
