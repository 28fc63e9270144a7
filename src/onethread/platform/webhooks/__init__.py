"""Outgoing webhooks: who wants which events, and the deliveries to them."""
