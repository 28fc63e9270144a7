"""Routes of the conversations room."""

from fastapi import APIRouter

from onethread.conversations import api_conversations, api_messages, api_thread


def router() -> APIRouter:
    """Return the room's routes, without the prefix of the API's version."""
    routes = APIRouter(tags=["conversations"])
    routes.include_router(api_conversations.routes)
    routes.include_router(api_messages.routes)
    routes.include_router(api_thread.routes)
    return routes
