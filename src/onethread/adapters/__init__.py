"""Strangers' protocols, each in its own folder."""
