"""Messages, conversations and deliveries: the one way in and the one way out."""
