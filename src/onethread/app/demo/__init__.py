"""A demonstration: founded when nothing is there yet, told through the real webhook door."""

from onethread.app.demo.stage import Shown, play

__all__ = ["Shown", "play"]
