"""Boring machines: database, event log, jobs, live sockets, files, outward HTTP, secrets."""
