"""The adapter contract, accounts, receipts and the one webhook door."""
