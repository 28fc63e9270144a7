"""What clients send about conversations and messages."""

from typing import Annotated, Protocol, cast

from fastapi import Query, Request
from pydantic import Field, StringConstraints

from onethread.access.acting import House as AccessHouse
from onethread.channels.contract import Choice, Content, Location, Media
from onethread.conversations.desk import Desks
from onethread.platform.wire import Body

Seq = Annotated[int, Field(ge=0, lt=1 << 31)]
Limit = Annotated[int, Query(ge=1, le=200)]
Text = Annotated[str, StringConstraints(max_length=100_000)]
Short = Annotated[str, StringConstraints(max_length=500)]
FileWord = Annotated[str, StringConstraints(pattern=r"^file:[0-9a-f]{64}$")]
ClientId = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[!-~]+$")]
Emoji = Annotated[str, StringConstraints(min_length=1, max_length=16)]
IdentifierText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=600),
    Field(description="An identifier in any writing: `email:ana@example.com`, a bare address or a number."),
]


class MediaBody(Body):
    """A file that was uploaded before."""

    ref: FileWord
    name: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f/\\]+$")]
    media_type: Annotated[str, StringConstraints(max_length=127, pattern=r"^[\w.+-]+/[\w.+-]+$")]
    size: Annotated[int, Field(ge=0, lt=1 << 40)] | None = None
    inline_id: Annotated[str, StringConstraints(max_length=255)] | None = None


class LocationBody(Body):
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    title: Short = ""


class ChoiceBody(Body):
    label: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    value: Annotated[str, StringConstraints(min_length=1, max_length=300)]


class ContentBody(Body):
    """What is to be said. `text` is what every channel can show."""

    text: Text = ""
    html: Annotated[str, StringConstraints(max_length=500_000)] | None = None
    subject: Short | None = None
    media: Annotated[list[MediaBody], Field(max_length=20)] = Field(default_factory=list)
    location: LocationBody | None = None
    choices: Annotated[list[ChoiceBody], Field(max_length=20)] = Field(default_factory=list)

    def content(self) -> Content:
        return Content(
            text=self.text,
            html=self.html,
            subject=self.subject,
            media=tuple(Media(one.ref, one.name, one.media_type, one.size, one.inline_id) for one in self.media),
            location=None
            if self.location is None
            else Location(self.location.latitude, self.location.longitude, self.location.title),
            choices=tuple(Choice(one.label, one.value) for one in self.choices),
        )


class House(AccessHouse, Protocol):
    """What these routes need of `request.app.state.house`."""

    @property
    def desks(self) -> Desks: ...


def house_of(request: Request) -> House:
    """Return what the application was built with."""
    return cast("House", request.app.state.house)
