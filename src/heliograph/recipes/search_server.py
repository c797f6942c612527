"""A backend of `search_index()` for OpenSearch and Elasticsearch, by the few HTTP endpoints that both of them have.

It is tested against their documented protocol, which a small server in the tests speaks, and not against a running
OpenSearch or Elasticsearch.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DEFAULT_DB_ALIAS

try:
    from urllib3 import PoolManager
    from urllib3.exceptions import HTTPError
    from urllib3.util import parse_url
except ModuleNotFoundError as error:
    raise ImproperlyConfigured(f"OpenSearch needs urllib3 ({error}): pip install 'heliograph[search]'.") from error

from heliograph.recipes.indexing import Document, IndexingError

JSON, LINES = "application/json", "application/x-ndjson"
PAGE = 1000  # documents that are listed at once
KEPT = "5m"  # so long the server remembers a list of documents between two pages
THREADS = 10  # connections that are kept for threads that write at the same time
SNIPPET = 300  # letters of an answer that an error repeats


class SearchServerError(Exception):
    """A search server has answered with an error; an error of urllib3 says that it has not answered at all."""


class OpenSearch:
    """The index of one model on a server of OpenSearch or Elasticsearch, a `ComparableBackend`.

    `search_index(Post, ["title"], into=OpenSearch("https://localhost:9200", index="posts"))`. A document has the text
    of the primary key as its `_id`. Rows of another database than "default", such as "archive", are in an index of
    their own, "posts-archive". `headers` are sent with each request, for example for a login. `timeout` is in seconds,
    for the connection and for each read. `ca_file` has the certificates of authorities to trust, instead of those of
    the system.

    Raises ValueError for a URL without a host, or with a password.
    """

    def __init__(
        self,
        url: str,
        *,
        index: str,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10,
        ca_file: str | None = None,
    ) -> None:
        _verify_url(url)
        self.url, self.index, self.headers = url.rstrip("/"), index, {**(headers or {})}
        self._pool = PoolManager(maxsize=THREADS, timeout=timeout, retries=False, ca_certs=ca_file)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, index={self.index!r})"

    def write(self, documents: Mapping[Any, Document], using: str) -> None:
        """Store documents by one request. Raises IndexingError with the keys of those that the server refuses."""
        pairs = (({"index": {"_id": str(pk)}}, document) for pk, document in documents.items())
        self._bulk((line for pair in pairs for line in pair), documents, using)

    def remove(self, pks: Collection[Any], using: str) -> None:
        """Delete documents by one request."""
        self._bulk(({"delete": {"_id": str(pk)}} for pk in pks), pks, using)

    def wrong(self, documents: Mapping[Any, Document], pks: Collection[Any], using: str) -> Mapping[Any, str]:
        """Return what is wrong with the documents of these rows, which should be no others than the given ones."""
        answer = self._ask("POST", self._path("_mget", using), _json({"ids": [str(pk) for pk in pks]}))
        stored = {one["_id"]: _source(one) for one in answer["docs"]}
        found = {pk: _problem(stored[str(pk)], documents.get(pk)) for pk in pks}
        return {pk: problem for pk, problem in found.items() if problem}

    def pks(self, using: str) -> Iterator[str]:
        """Yield the keys of all documents that are there now, as texts."""
        self._ask("POST", self._path("_refresh?ignore_unavailable=true", using))
        search = self._path(f"_search?ignore_unavailable=true&scroll={KEPT}", using)
        page = self._page(search, {"size": PAGE, "sort": ["_doc"], "_source": False})
        try:
            while hits := page["hits"]["hits"]:
                yield from (hit["_id"] for hit in hits)
                page = self._page("/_search/scroll", {"scroll": KEPT, "scroll_id": page["_scroll_id"]})
        finally:
            self._forget(page)

    def _forget(self, page: Mapping[str, Any]) -> None:
        """Let the server forget a list; it does so by itself, but later."""
        if "_scroll_id" in page:  # a list of no index at all may have none
            with suppress(HTTPError, SearchServerError):
                self._ask("DELETE", "/_search/scroll", _json({"scroll_id": page["_scroll_id"]}))

    def _page(self, path: str, query: Mapping[str, Any]) -> Any:
        page = self._ask("POST", path, _json(query))
        if page["_shards"]["failed"]:
            text = _json(page["_shards"])[:SNIPPET]
            raise SearchServerError(f"{self.url}{path} has not searched all documents: {text}")
        return page

    def _bulk(self, lines: Iterable[Mapping[str, Any]], pks: Collection[Any], using: str) -> None:
        """Send operations, one for each key. The server does each of them by itself."""
        body = "".join(f"{_json(line)}\n" for line in lines)
        answer = self._ask("POST", self._path("_bulk", using), body, LINES)
        reasons = {pk: _refusal(item) for pk, item in zip(pks, answer["items"], strict=True)}
        refused = {pk: reason for pk, reason in reasons.items() if reason}
        if refused:
            keys = ", ".join(map(repr, refused))
            first = next(iter(refused.values()))
            raise IndexingError(f"{len(refused)} of {len(pks)} documents are refused by the server ({keys}): {first}")

    def _path(self, endpoint: str, using: str) -> str:
        index = self.index if using == DEFAULT_DB_ALIAS else f"{self.index}-{using}"
        return f"/{quote(index, safe='')}/{endpoint}"

    def _ask(self, method: str, path: str, body: str | None = None, content: str = JSON) -> Any:
        """Send a request; return the JSON of the answer."""
        headers, data = {**self.headers, "Content-Type": content}, body and body.encode()
        answer = self._pool.request(method, f"{self.url}{path}", body=data, headers=headers, redirect=False)
        text = answer.data.decode("utf-8", "replace")
        with suppress(ValueError):  # a proxy answers with a page
            if answer.status < 300:
                return json.loads(text)
        raise SearchServerError(f"{method} {self.url}{path} is answered with {answer.status}: {text[:SNIPPET]}")


def _verify_url(url: str) -> None:
    parts = parse_url(url)
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ValueError(f"OpenSearch({url!r}): give the URL of the server, such as 'https://localhost:9200'.")
    if parts.auth:  # which the client would not send
        raise ValueError(
            "The URL of OpenSearch() has a password. Give headers=make_headers(basic_auth=...), of urllib3.util."
        )


def _json(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, allow_nan=False)


def _refusal(item: Mapping[str, Any]) -> str:
    """Return why the server has refused an operation, or "". A document that is to be deleted may be missing."""
    [(operation, result)] = item.items()
    if "error" not in result or (operation == "delete" and result["status"] == 404):
        return ""
    return _reason(result["error"])


def _reason(error: Mapping[str, Any]) -> str:
    return f"{error.get('type')}: {error.get('reason')}"


def _source(stored: Mapping[str, Any]) -> Any:
    """Return what a stored document was made of, or None; an index that does not exist yet has none."""
    error = stored.get("error")
    if error and error["type"] != "index_not_found_exception":
        raise SearchServerError(f"The document {stored['_id']!r} cannot be read: {_reason(error)}")
    return stored.get("_source") if stored.get("found") else None


def _problem(source: Any, document: Document | None) -> str:
    if document is None:
        return "" if source is None else "left over"
    if source is None:
        return "missing"
    return "" if source == json.loads(_json(document)) else "outdated"
