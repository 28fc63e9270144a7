"""The front door: wiring, web, worker and command line."""
