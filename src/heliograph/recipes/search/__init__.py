"""The index of `search_index()` in the project's own database: an app with one table, and `search()`.

    INSTALLED_APPS = [..., "heliograph.recipes.search"]

    posts = search_index(Post, ["title", "body"])  # in receivers.py
    search(Post, "full text")                      # a queryset of posts that have both words, the best ones first

A *document* is the text of one row. Its words are indexed by the full text search of the database: FTS5 of SQLite,
`tsvector` of PostgreSQL, FULLTEXT of MariaDB and MySQL.
"""

from heliograph.recipes.search.document_index import DocumentIndex
from heliograph.recipes.search.searching import search

__all__ = ["DocumentIndex", "search"]
