"""`python -m onethread.app.cli`, for where the script is not installed."""

from onethread.app.cli.commands import main

main()
