"""The middleware that gives each request a context, sync and async."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from heliograph.conf import setting
from heliograph.context.kept_context import Context, under
from heliograph.context.of_request import context_of_request
from heliograph.context.streamed_bodies import stream_under


class ContextMiddleware:
    """The middleware, sync and async, that gives each request a `Context`: who makes it, and from which cause.

    Put it first in `MIDDLEWARE`. The user is loaded when somebody asks for the actor. The id of the request comes from
    the header that the setting `REQUEST_ID_HEADER` names, or is made.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        if self.is_async:
            return self._call_async(request)
        with under(context_of_request(request)) as context:
            return _answered(self.get_response(request), context)

    async def _call_async(self, request: Any) -> Any:
        with under(context_of_request(request)) as context:
            return _answered(await self.get_response(request), context)


def _answered(response: Any, context: Context) -> Any:
    """Return a response, whose streamed body and whose header belong to the request too."""
    if response.streaming:
        stream_under(response, context.pinned())
    header = setting("REQUEST_ID_HEADER")
    if header and setting("REQUEST_ID_IN_RESPONSE"):
        response.headers[header] = context.request_id
    context.by.release()
    return response
