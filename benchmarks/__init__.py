"""What Onethread does in a second, measured beside what the machine could do: `make bench`."""
