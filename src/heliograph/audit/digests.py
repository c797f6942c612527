"""Digests: a hash of each entry, change set and seal, by which an alteration is found.

A digest is a SHA-256, shown as 43 characters of base64. Texts about people are hashed with a random salt: without it,
an e-mail address is guessed in seconds. When text and salt are removed, the digest stays and says nothing.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import blake2b, sha256
from json import dumps
from typing import Any

_SALT = 22  # characters, of 132 random bits


def new_salts(count: int) -> list[str]:
    """Return random texts of 22 characters."""
    text = b64encode(os.urandom(18 * count)).decode()
    return [text[at : at + _SALT] for at in range(0, 24 * count, 24)]


def digest_of(salt: str, text: str) -> str:
    """Return the SHA-256 of a salt and a text, in 43 characters of base64."""
    return shown(sha256(f"{salt}{text}".encode()).digest())


def digests_of(salts: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return `digest_of` each salt and text; their base64 is made all at once."""
    hashes = [sha256((salt + text).encode()).digest() for salt, text in zip(salts, texts, strict=True)]
    joined = b64encode(b"\0".join([*hashes, b""])).decode()  # 33 bytes become 44 characters
    return [joined[at : at + 43] for at in range(0, len(joined), 44)]


def shown(digest: bytes) -> str:
    """Return the 43 characters for 32 bytes."""
    return b64encode(digest)[:43].decode()


# --- change sets --------------------------------------------------------------------------------------------------


def salts_and_digests(label: str, reason: str, context: str) -> tuple[str, str]:
    """Return the two salts and the two digests of a change set; a half without texts has none."""
    if not (label or reason or context):
        return "", ""
    texts = halves(label, reason, context)
    salts = [salt if text else "" for salt, text in zip(new_salts(2), texts, strict=True)]
    digests = [digest_of(salt, text) if text else "" for salt, text in zip(salts, texts, strict=True)]
    return ",".join(salts), ",".join(digests)


def halves(label: str, reason: str, context: str) -> tuple[str, str]:
    """Return the two texts of a change set of which either is forgotten alone: of the actor, and of the reason."""
    return label, dumps([reason, context]) if reason or context else ""


def pair_of(joined: str) -> tuple[str, str]:
    """Return the two salts, or digests, that a change set has in one column."""
    first, _, second = joined.partition(",")
    return first, second


# --- kinds --------------------------------------------------------------------------------------------------------

KindColumns = tuple[str, str, str]  # the label of the model, the action, the names of the fields


@cache
def number_of(kind: KindColumns) -> int:
    """Return the number of a kind, which its columns give: 63 bits of a hash."""
    return int.from_bytes(blake2b("\n".join(kind).encode(), digest_size=8).digest()) >> 1


# --- the tree of a seal -------------------------------------------------------------------------------------------
# The hash of a leaf begins with a zero byte and that of a node with a one, so that no node passes for a leaf.


def leaf_of(entry: int, change_set: str, kind: str, key: str, digest: str) -> bytes:
    """Return the hash of an entry; the change set, the kind and the key of the row are given as JSON."""
    return sha256(f'\0[{entry},{change_set},{kind},{key},"{digest}"]'.encode()).digest()


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root of the Merkle tree over leaves, as RFC 6962 defines it."""
    level = [*leaves]
    if not level:
        return sha256().digest()
    while len(level) > 1:
        pairs = [sha256(b"\1" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


LEAF = 32  # bytes


def leaves_in(joined: bytes) -> list[bytes]:
    """Return the leaves that a seal has joined."""
    return [joined[at : at + LEAF] for at in range(0, len(joined), LEAF)]


def link_digest(former: str, columns: Sequence[Any]) -> str:
    """Return the digest of a seal, given the digest of the seal before it; the first one has an empty text there."""
    return shown(sha256(dumps([former, *columns]).encode()).digest())
