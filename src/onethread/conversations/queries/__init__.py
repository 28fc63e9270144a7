"""All SQL reads of the conversations room, by who asks."""

from onethread.conversations.queries.messages import VisitorMessage, visitor_messages
from onethread.conversations.queries.telling import frames

__all__ = ["VisitorMessage", "frames", "visitor_messages"]
