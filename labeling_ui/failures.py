"""What went wrong → a status code and one sentence, for the page to show."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from alignment.preferences.errors import Refused, Unavailable

STATUS = {"unknown": 404, "invalid": 422, "conflict": 409, "closed": 403}
RETRY_SECONDS = "2"


def add_failures(app: FastAPI) -> None:
    """A client repeats what got 503 or no answer at all, with the same key; everything else it shows."""

    @app.exception_handler(Refused)
    def refused(_: Request, error: Refused) -> JSONResponse:
        return JSONResponse({"reason": error.reason, "sentence": str(error)}, STATUS[error.reason])

    @app.exception_handler(Unavailable)
    def unavailable(_: Request, error: Unavailable) -> JSONResponse:
        return JSONResponse({"reason": "unavailable", "sentence": str(error)}, 503, {"retry-after": RETRY_SECONDS})

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        return JSONResponse({"reason": "invalid", "sentence": f"{name}: {first['msg']}"}, 422)
