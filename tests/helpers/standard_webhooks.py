"""A receiver of Standard Webhooks, written from the text of the specification, and from no implementation."""

import base64
import hashlib
import hmac
import json
import time


class ForgedError(Exception):
    """The request is not from who it says, or is too old."""


def verified(request, secret, tolerance=300):
    """Return what a request says. Raises ForgedError if none of its signatures is one of this secret."""
    identifier, sent_at = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    if abs(time.time() - int(sent_at)) > tolerance:
        raise ForgedError("too old")
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    signed = b".".join([identifier.encode(), sent_at.encode(), request.body])
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    versions = [one.split(",", 1) for one in request.headers["webhook-signature"].split(" ")]
    if not any(version == "v1" and hmac.compare_digest(given, expected) for version, given in versions):
        raise ForgedError("no signature fits")
    return json.loads(request.body)
