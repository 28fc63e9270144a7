"""The one way in: receipts become messages, in sets."""
