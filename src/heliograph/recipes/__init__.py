"""Recipes: what projects write with signals most, each by one declaration that is right under concurrent writers.

A *kept field* is an annotation that is stored: `keep` declares it by one of Django's aggregates over a reverse
relation. The *parent* has the kept field, and the *children* are the rows that are aggregated. The *truth* of a kept
field is what `annotate()` gives for the declared aggregate. A *delta* is what one change of a child adds to the stored
value; a *recount* is an UPDATE with the aggregate as a subquery.

    keep(Post, comment_count=Count("comments", filter=Q(comments__is_public=True)))

A declaration stands in `receivers.py` or `models.py`. It connects ordinary receivers, which `signals list` shows, and
returns a handle with `disconnect()`. What cannot be kept right is refused where it is declared. `manage.py recipes
verify` compares the stored values with their truth.

Recipes use public names of Heliograph only, and no recipe imports another one.
"""

from heliograph.recipes.kept.declaring import keep, keep_groups

__all__ = ["keep", "keep_groups"]
