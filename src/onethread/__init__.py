"""Onethread: every channel, one customer, one thread."""

__version__ = "0.1.0"
