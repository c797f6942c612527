"""The context of a request: ids from its headers, or new ones, and its user."""

from __future__ import annotations

import re
import uuid
from typing import Any

from heliograph.conf import setting
from heliograph.context.kept_context import Context
from heliograph.context.request_users import RequestUser
from heliograph.context.trace_ids import own_span, trace_in

# A client may send anything: a text that is longer, or has other characters, is not taken.
_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)


def context_of_request(request: Any) -> Context:
    """Return the context for everything that a request does."""
    cause = trace_in(request.headers.get("traceparent"))
    return Context(
        by=RequestUser(request),
        request_id=_id_in(request, "REQUEST_ID_HEADER") or uuid.uuid4().hex,
        correlation_id=_id_in(request, "CORRELATION_ID_HEADER"),
        traceparent=own_span(cause),
        parent=cause,
        is_open=True,
    )


def _id_in(request: Any, name: str) -> str:
    header = setting(name)
    text = request.headers.get(header, "") if header else ""
    return text if _ID.fullmatch(text) else ""
