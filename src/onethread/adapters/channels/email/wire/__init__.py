"""How mail is written and read: pure functions over bytes, no network, no clock, no database."""
