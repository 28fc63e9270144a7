"""Everything we refuse, as one tree: a stable code, an HTTP status and a sentence for people."""

from collections.abc import Mapping
from typing import ClassVar


class Refused(Exception):
    """An expected no. `code` never changes, `detail` is a sentence a person can act on."""

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request was refused"

    def __init__(self, detail: str, **fields: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields: Mapping[str, object] = fields


class Invalid(Refused):
    code = "invalid"
    status = 422
    title = "Something in the request is not right"


class Malformed(Refused):
    code = "malformed"
    status = 400
    title = "The request could not be read"


class NotSignedIn(Refused):
    code = "not_signed_in"
    status = 401
    title = "Sign in first"


class NotAllowed(Refused):
    code = "not_allowed"
    status = 403
    title = "You may not do this"


class NotFound(Refused):
    code = "not_found"
    status = 404
    title = "There is no such thing"


class Conflict(Refused):
    code = "conflict"
    status = 409
    title = "This does not fit what is already there"


class Gone(Refused):
    code = "gone"
    status = 410
    title = "This is no longer here"


class TooLarge(Refused):
    code = "too_large"
    status = 413
    title = "This is too large"


class Unsupported(Refused):
    code = "unsupported"
    status = 415
    title = "This kind of content is not supported"


class TooMany(Refused):
    """Field `retry_after` is in whole seconds."""

    code = "too_many"
    status = 429
    title = "Too many requests"


class Unavailable(Refused):
    """Field `retry_after` is in whole seconds."""

    code = "unavailable"
    status = 503
    title = "Not available at the moment"
