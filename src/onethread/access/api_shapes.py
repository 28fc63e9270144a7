"""Wire shapes the routes of this room share."""

from typing import Annotated, Protocol, cast

from fastapi import Request
from pydantic import StringConstraints

from onethread.access import acting
from onethread.access.oidc import SignOn
from onethread.platform.secrets import Secrets

# What people are and call things: no control characters, which forge log lines and mail headers.
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Email = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=254)]
Locale = Annotated[str, StringConstraints(max_length=20)]
TimeZone = Annotated[str, StringConstraints(max_length=60)]
Password = Annotated[str, StringConstraints(max_length=1000)]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Code = Annotated[str, StringConstraints(min_length=1, max_length=40)]


class House(acting.House, Protocol):
    """What these routes need of `request.app.state.house`."""

    @property
    def secrets(self) -> Secrets: ...
    @property
    def sign_on(self) -> SignOn | None: ...


def house_of(request: Request) -> House:
    """Return what the application was built with."""
    return cast("House", request.app.state.house)
