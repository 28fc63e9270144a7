"""The event log: append in a transaction, read by cursor, never miss a late commit."""
