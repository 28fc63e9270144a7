"""What can be done in this room, one module per noun; permissions are checked here."""
