"""The web application of a study: one page, pictures, and a door for answers.

A browser gets opaque names, and of each trial what `sessions/` holds: what a picture
is stays here. Every field that comes in is checked. No cookies, no addresses, no names
of browsers are kept.

    GET  /                            the page
    GET  /static/NAME                 its script and style
    GET  /images/HASH.png             a picture
    GET  /api/study                   texts and choices
    POST /api/observers               consent: gives a code
    GET  /api/observers/CODE          trials, and which are still to come
    POST /api/observers/CODE/shown    a timed picture goes up
    POST /api/observers/CODE/answers  an answer; tells whether a practice one is right
"""

import importlib.resources
import json
import pathlib
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inpainting_jax.study.folder import Study
from inpainting_jax.study.store import Observer, Store

MAX_BODY = 4096
"""Bytes of a request: an answer has about 200."""

SCREENS = ("phone", "tablet", "desktop")

_STATIC = {
    "index.html": "text/html; charset=utf-8",
    "study.js": "text/javascript; charset=utf-8",
    "trial.js": "text/javascript; charset=utf-8",
    "study.css": "text/css; charset=utf-8",
}
_HEADERS = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'self'; img-src 'self' data:",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}


def build(study: Study, store: Store) -> Starlette:
    """The application that serves `study` and writes to `store`."""
    doors = _Doors(study, store)
    routes = [
        Route("/", doors.page),
        Route("/static/{name}", doors.static),
        Route("/images/{name}", doors.picture),
        Route("/api/study", doors.texts),
        Route("/api/observers", doors.consent, methods=["POST"]),
        Route("/api/observers/{code}", doors.trials),
        Route("/api/observers/{code}/shown", doors.shown, methods=["POST"]),
        Route("/api/observers/{code}/answers", doors.answer, methods=["POST"]),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(_Headers)],
        exception_handlers={HTTPException: _as_json},
    )


class _Doors:
    """The routes."""

    def __init__(self, study: Study, store: Store):
        self._study, self._store = study, store
        files = importlib.resources.files("inpainting_jax.study") / "static"
        self._static = {name: (files / name).read_bytes() for name in _STATIC}
        # a table, not a path: nothing else of the disk can be asked for
        folder = pathlib.Path(study.path) / "images"
        self._pictures = {path.name: path for path in folder.glob("*.png")}

    async def page(self, request: Request) -> Response:
        return Response(self._static["index.html"], media_type=_STATIC["index.html"])

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._static:
            raise HTTPException(404, "no such file")
        return Response(self._static[name], media_type=_STATIC[name])

    async def picture(self, request: Request) -> Response:
        path = self._pictures.get(request.path_params["name"])
        if path is None:
            raise HTTPException(404, "no such picture")
        data = await run_in_threadpool(path.read_bytes)
        return Response(data, media_type="image/png")

    async def texts(self, request: Request) -> Response:
        return JSONResponse(self._study.texts | {"choices": self._study.choices})

    async def consent(self, request: Request) -> Response:
        body = await _body(request, {"consent", "screen", "pixel_ratio", "scaled"})
        if body["consent"] is not True:
            raise HTTPException(400, "consent must be true")
        screen = {
            "size": _one_of(body, "screen", SCREENS),
            "pixel_ratio": _number(body, "pixel_ratio", 0.1, 20),
            "scaled": _one_of(body, "scaled", (True, False)),
        }
        observer = await run_in_threadpool(self._store.start, screen)
        return self._state(observer, status=201)

    async def trials(self, request: Request) -> Response:
        return self._state(self._observer(request))

    async def shown(self, request: Request) -> Response:
        observer = self._observer(request)
        body = await _body(request, {"trial"})
        trial = self._trial(observer, body)
        await run_in_threadpool(self._store.shown, observer.code, trial)
        return Response(status_code=204)

    async def answer(self, request: Request) -> Response:
        observer = self._observer(request)
        timed = {"shown_ms", "frame_ms"}
        needed = {"trial", "choice", "response_ms", "client_time"}
        body = await _body(request, needed, timed)
        trial = self._study.sessions[observer.session].trials[
            self._trial(observer, body)
        ]
        fields = {
            "choice": _one_of(body, "choice", self._study.choices),
            "response_ms": _number(body, "response_ms", 0, 864e5),
            "client_time": _number(body, "client_time", 0, 1e14),
        }
        if trial.exposure_ms:
            fields["shown_ms"] = _number(body, "shown_ms", 0, 864e5)
            fields["frame_ms"] = _number(body, "frame_ms", 1, 100)
        elif timed & set(body):
            raise HTTPException(400, "this trial has no exposure")
        first = await run_in_threadpool(
            self._store.answer, observer.code, body["trial"], fields
        )
        if not first:
            raise HTTPException(409, "answered before: the first answer stands")
        feedback = None
        if trial.kind == "practice":
            feedback = {"right": body["choice"] == trial.answer, "answer": trial.answer}
        return JSONResponse({"feedback": feedback}, 201)

    def _state(self, observer: Observer, status: int = 200) -> Response:
        session = self._study.sessions[observer.session]
        state = {
            "code": observer.code,
            "swapped": session.swapped,
            "trials": self._study.pages[observer.session],
            "pending": self._store.pending(observer.code),
        }
        return JSONResponse(state, status)

    def _observer(self, request: Request) -> Observer:
        observer = self._store.observer(request.path_params["code"])
        if observer is None:
            raise HTTPException(404, "nobody has this code")
        return observer

    def _trial(self, observer: Observer, body: dict[str, Any]) -> int:
        trial = body["trial"]
        count = len(self._study.pages[observer.session])
        if type(trial) is not int or not 0 <= trial < count:
            raise HTTPException(400, f"trial is a number below {count}")
        return trial


async def _body(
    request: Request, needed: set[str], allowed: frozenset[str] | set[str] = frozenset()
) -> dict[str, Any]:
    """The JSON object of a request, with these fields and no others."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            raise HTTPException(413, "too long")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:  # or bytes that are no text
        raise HTTPException(400, "no JSON") from error
    if not isinstance(body, dict) or not needed <= set(body) <= needed | allowed:
        raise HTTPException(400, f"give {', '.join(sorted(needed))}, nothing else")
    return body


def _number(body: dict[str, Any], name: str, low: float, high: float) -> float:
    value = body.get(name)
    # NaN fails both comparisons; a bool is no number here
    if type(value) not in (int, float) or not low <= value <= high:
        raise HTTPException(400, f"{name} is a number from {low:g} to {high:g}")
    return float(value)


def _one_of(body: dict[str, Any], name: str, known: tuple) -> Any:
    value = body.get(name)
    if not any(value is word or value == word for word in known):
        raise HTTPException(400, f"{name} is one of {', '.join(map(str, known))}")
    return value


async def _as_json(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code)


class _Headers:
    """Adds `_HEADERS` to every response."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS.items()]
            await send(message)

        await self._app(scope, receive, with_headers)
