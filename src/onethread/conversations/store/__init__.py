"""All SQL writes of the conversations room, by noun."""
