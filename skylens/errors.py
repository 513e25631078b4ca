"""The one error tree. A class carries its HTTP status, its code and a sentence that is safe to show to a client."""

from typing import TypeVar


class SkylensError(Exception):
    """Something went wrong that a client may be told about.

    ``str(error)`` is the detail shown to the client: it names what was wrong, with which value, and what would be
    right. It never holds a secret or a stack trace.
    """

    status = 500
    code = "internal"
    title = "Something failed on our side"

    def __init__(self, detail: str = "", *, retry_after: int | None = None, reason: str = "") -> None:
        """``retry_after``: seconds after which the same request may succeed; ``reason``: a word for logs."""
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.retry_after = retry_after
        self.reason = reason or self.code


class BadRequestError(SkylensError):
    status, code, title = 400, "bad-request", "The request is malformed"


class UnauthorisedError(SkylensError):
    status, code, title = 401, "unauthorised", "A valid API key or token is needed"


class ForbiddenError(SkylensError):
    status, code, title = 403, "forbidden", "This key or token may not do that"


class UnknownJobError(SkylensError):
    status, code, title = 404, "not-found", "There is no such thing here"


class TooSlowError(SkylensError):
    status, code, title = 408, "too-slow", "The request came in too slowly"


class ConflictError(SkylensError):
    status, code, title = 409, "idempotency-conflict", "The idempotency key was used for another request"


class ExpiredError(SkylensError):
    status, code, title = 410, "expired", "The result was kept for its time and is gone"


class DeletedError(SkylensError):
    status, code, title = 410, "deleted", "The image and its result were deleted"


class TooLargeError(SkylensError):
    status, code, title = 413, "too-large", "The image or the request is too large"


class UnsupportedImageError(SkylensError):
    status, code, title = 415, "unsupported-image", "Not an image of a kind that is taken here"


class UndecodableImageError(SkylensError):
    status, code, title = 422, "undecodable-image", "The image is damaged and cannot be decoded"


class PoisonImageError(SkylensError):
    status, code, title = 422, "poison-image", "Every worker that tried this image failed; it was set aside"


class OverdueError(SkylensError):
    status, code, title = 422, "overdue", "The image waited past its deadline and was not recognised"


class TooManyRequestsError(SkylensError):
    status, code, title = 429, "too-many-requests", "Your limit of requests is used up for now"


class UnavailableError(SkylensError):
    status, code, title = 503, "unavailable", "The service cannot take this now"


class SettingsError(SkylensError):
    code, title = "bad-setting", "A setting is wrong"


class MessageError(SkylensError):
    """A queue message, which goes to the dead-letter queue with this reason, or an object that cannot be read."""

    code, title = "bad-message", "A message could not be read"


class ModelError(SkylensError):
    code, title = "bad-model", "A model folder is wrong"


_Raised = TypeVar("_Raised", bound=BaseException)


def let_go(error: _Raised) -> _Raised:
    """The error alone, for where it is kept: by its traceback it has all that was in the frames it came through.

    If one of those leads back to the error, as that of who waits for a future does, Python frees them only when it
    looks for cycles, which is every so many objects, however large they are.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def by_code(code: str) -> type[SkylensError]:
    """The class of a failure that crossed a queue as its code; unknown codes of newer versions are plain failures."""
    found = [kind for kind in SkylensError.__subclasses__() if "code" in vars(kind) and kind.code == code]
    return found[0] if found else SkylensError
