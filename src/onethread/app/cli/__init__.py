"""The command line."""

from onethread.app.cli.commands import app, main

__all__ = ["app", "main"]
