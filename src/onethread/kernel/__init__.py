"""Pure words every room shares: ids, clock, identifiers, text, errors."""
