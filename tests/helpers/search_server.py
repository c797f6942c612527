"""A search server on this machine: it keeps documents, and speaks the endpoints that OpenSearch and Elasticsearch have.

It is written after their documentation, which says of each document in a request how it fared.
"""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MISSING = {"type": "index_not_found_exception", "reason": "no such index"}


class SearchServer:
    """Documents by the names of their indexes and by their ids."""

    def __init__(self):
        self.indexes = {}
        self.searched = {}  # what a search finds: the ids as they were at the last refresh
        self.scrolls = {}
        self.requests = []  # method, path and headers of each
        self.refused = {}  # errors by the ids of documents that it does not take
        self.unreadable = {}  # errors by the ids of documents that it does not find
        self.failed_shards = 0
        self.answer = None  # a status and a text, in the place of all others
        self.page = None  # how many documents it gives at once, if these are fewer than it is asked for
        self.port = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self, context=None):
        """Answer for the time of the block, at the same address each time; over TLS, if its context is given."""
        http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        http.daemon_threads, http.documents, self.port = True, self, http.server_port
        if context is not None:
            http.socket = context.wrap_socket(http.socket, server_side=True)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            http.shutdown()
            http.server_close()
            thread.join()

    def titles(self, index="posts"):
        return {key: document["title"] for key, document in self.indexes.get(index, {}).items()}

    # --- endpoints --------------------------------------------------------------------------------------------

    def bulk(self, index, body, options):
        lines = iter([json.loads(line) for line in body.splitlines()])
        assert body.endswith("\n")  # which the protocol wants
        items = [self._operate(index, line, lines) for line in lines]
        return {"took": 1, "errors": any("error" in one for item in items for one in item.values()), "items": items}

    def _operate(self, index, line, lines):
        [(operation, of)] = line.items()
        key = of["_id"]
        if operation == "index":
            source = next(lines)
            if key in self.refused:
                return {operation: {"_index": index, "_id": key, "status": 400, "error": self.refused[key]}}
            is_new = key not in self.indexes.setdefault(index, {})
            self.indexes[index][key] = source
            return {operation: {"_index": index, "_id": key, "status": 201 if is_new else 200}}
        if index not in self.indexes:
            return {operation: {"_index": index, "_id": key, "status": 404, "error": MISSING}}
        gone = self.indexes[index].pop(key, None)
        return {operation: {"_index": index, "_id": key, "status": 200 if gone else 404}}

    def mget(self, index, body, options):
        return {"docs": [self._get(index, key) for key in json.loads(body)["ids"]]}

    def _get(self, index, key):
        if error := self.unreadable.get(key) or (MISSING if index not in self.indexes else None):
            return {"_index": index, "_id": key, "error": error}
        documents = self.indexes[index]
        found = {"found": True, "_source": documents[key]} if key in documents else {"found": False}
        return {"_index": index, "_id": key, **found}

    def refresh(self, index, body, options):
        assert options["ignore_unavailable"] == ["true"]
        self.searched[index] = [*self.indexes.get(index, {})]
        return {"_shards": {"total": 1, "successful": 1, "failed": 0}}

    def search(self, index, body, options):
        assert options == {"ignore_unavailable": ["true"], "scroll": ["5m"]}
        if index not in self.indexes:
            return {"_shards": {"total": 0, "successful": 0, "failed": 0}, "hits": {"hits": []}}
        self.scrolls["one"] = [*self.searched[index]], self.page or json.loads(body)["size"]
        return self.scroll(None, '{"scroll_id": "one"}', {})

    def scroll(self, index, body, options):
        left, size = self.scrolls[json.loads(body)["scroll_id"]]
        hits = [{"_id": left.pop(0)} for _ in range(min(size, len(left)))]
        shards = {"total": 1, "successful": 1 - self.failed_shards, "failed": self.failed_shards}
        return {"_scroll_id": "one", "_shards": shards, "hits": {"hits": hits}}

    def forget(self, index, body, options):
        del self.scrolls[json.loads(body)["scroll_id"]]
        return {"succeeded": True, "num_freed": 1}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        server = self.server.documents
        server.requests.append((self.command, self.path, self.headers))
        status, text = server.answer or (200, json.dumps(self.asked(server, body)))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def asked(self, server, body):
        parts = urlsplit(self.path)
        index, endpoint = parts.path[1:].split("/", 1)
        kind = "application/x-ndjson" if endpoint == "_bulk" else "application/json"
        assert self.headers["Content-Type"] == kind
        if index == "_search":
            endpoint = {"POST": "scroll", "DELETE": "forget"}[self.command]
        return getattr(server, endpoint.removeprefix("_"))(index, body, parse_qs(parts.query))

    do_DELETE = do_POST  # noqa: N815

    def log_message(self, *arguments):
        """Log nothing."""
