"""The story of a write, for people and for programs."""

from __future__ import annotations

import json
from typing import Any

from heliograph.flow.stories.chapters import Chapters
from heliograph.flow.stories.story_json import json_of
from heliograph.flow.stories.story_text import lines_of


class Story(Chapters):
    """The receivers that a write would call, in which order and why; printed, it is text for people. Frozen.

    `autocommit` and `atomic` have the chapters of both orders, outside and inside of `atomic()`: each with its `kind`,
    its `title` and its `receivers`. `on_rollback` has the receivers that are called if the write is rolled back.
    """

    def to_json(self, **options: Any) -> str:
        """Return the story as JSON; options are those of `json.dumps`."""
        return json.dumps(json_of(self), **options)

    def __str__(self) -> str:
        return "\n".join(lines_of(self))
