"""Stories: which receivers a write would call, and when, from what is connected and without asking a database.

A *story* (`story`) has *chapters*: pre_save, the row, before the commit, the commit, post_save, after the commit, in a
worker. A chapter lists *expected* receivers (`expected_receivers`) in the order of their calls, each with a *verdict*:
it is called, it is not called because of its condition or a mute, or the row decides. `foreseen` asks each condition
whether it will hold, as far as that is known before the write.

Each kind of write has a module that knows its order: `save_story`, `delete_story` with the rows that go with a row
(`cascades`), `add_story` for many-to-many fields. They share `transaction_end`, the chapters from "before the commit"
to "in a worker". `bulk_lines` says what a bulk write calls, and `silent_lines` what sends nothing. `story_text` and
`story_json` show a story to people and to programs.

An example: for `explain(Order, "create")` in a project with one receiver of post_save that has `delivery=OnCommit()`,
`save_story` lists post_save of `shop.Order`, finds no receiver for the send itself, and lists the receiver in the
chapter "after the commit".
"""
