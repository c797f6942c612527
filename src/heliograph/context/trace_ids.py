"""Trace and span ids, in the text form of W3C Trace Context: `00-<trace>-<span>-01`."""

from __future__ import annotations

import os
import re

# A version that is not known may have more parts, after a hyphen.
_SHAPE = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII
)


def own_trace() -> str:
    """Return the traceparent of a new trace."""
    ids = os.urandom(24).hex()
    return f"00-{ids[:32]}-{ids[32:]}-01"


def own_span(parent: str) -> str:
    """Return the traceparent of a new span in the trace of its parent; of a new trace if there is no parent."""
    if not parent:
        return own_trace()
    _, trace, _, flags = parent.split("-")
    return f"00-{trace}-{os.urandom(8).hex()}-{flags}"


def trace_in(text: object) -> str:
    """Return the traceparent in a text from outside, such as a header; "" if it is none."""
    found = _SHAPE.fullmatch(text) if isinstance(text, str) and len(text) <= 512 else None
    if found is None or (found[1] == "00" and found[5]):
        return ""
    return f"00-{found[2]}-{found[3]}-{found[4]}"


def verified_trace(text: object) -> str:
    """Return a traceparent; ValueError for a text that is none."""
    found = trace_in(text)
    if not found:
        raise ValueError(
            f"context(traceparent=...) takes the trace and the span as W3C Trace Context has them,"
            f" '00-<32 digits>-<16 digits>-01', not {text!r}."
        )
    return found
