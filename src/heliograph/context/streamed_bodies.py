"""The body of a streaming response is made under the context of its request, after the middleware has returned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

from heliograph.context.kept_context import Context, under

_END = object()


def stream_under(response: Any, context: Context) -> None:
    """Make each part of a streamed body under a context, and close the body under it.

    A file is left as it is, since the server may send it itself.
    """
    if response.streaming and getattr(response, "file_to_stream", None) is None:
        # Where a client goes away, a block of `acting()` in the body ends when the server closes the response. It would
        # leave the thread, which has other requests next, under the context of this one.
        response._resource_closers = [partial(_close, one, context) for one in response._resource_closers]
        parts = response.streaming_content
        response.streaming_content = _async_parts(parts, context) if response.is_async else _parts(parts, context)


def _close(closer: Callable[[], object], context: Context) -> None:
    with under(context):
        closer()


# Between two parts other requests run in this thread or task, so the context is set for each part anew.


def _parts(parts: Iterator[bytes], context: Context) -> Iterator[bytes]:
    while True:
        with under(context):
            part = next(parts, _END)
        if part is _END:
            return
        yield part  # type: ignore[misc]  # as it is not the end


async def _async_parts(parts: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
    while True:
        with under(context):
            part = await anext(parts, _END)
        if part is _END:
            return
        yield part  # type: ignore[misc]  # the same
