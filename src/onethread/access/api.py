"""The routes of this room, put together."""

from fastapi import APIRouter

from onethread.access import api_account, api_organisation, api_people, api_session


def router() -> APIRouter:
    """Return every route of this room, without the prefix of the API."""
    routes = APIRouter()
    for part in (api_session, api_account, api_people, api_organisation):
        routes.include_router(part.routes)
    return routes
