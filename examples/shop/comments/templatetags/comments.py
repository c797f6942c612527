"""The comments below a post."""

from collections import defaultdict
from typing import Any

from django import template
from django.db.models import Q
from django.template import Context

from blog.models import Post
from comments.forms import CommentForm
from comments.models import Comment
from onboarding.roles import MODERATORS, is_in

register = template.Library()

# A hidden comment to which others reply has a place, without what it says.
READABLE = Q(status=Comment.Status.SHOWN) | Q(status=Comment.Status.HIDDEN, replies_shown__gt=0)


@register.inclusion_tag("comments/thread.html", takes_context=True)
def comment_thread(context: Context, post: Post) -> dict[str, Any]:
    """Show the comments of a post, replies below what they reply to, and a form; one query reads them all."""
    below = defaultdict(list)
    for comment in Comment.objects.filter(READABLE, post=post).select_related("author"):
        below[comment.parent_id].append(comment)
    request = context["request"]
    return {
        "request": request,
        "csrf_token": context.get("csrf_token"),
        "user": request.user,
        "post": post,
        "thread": _branches(below, None),
        "form": CommentForm(),
        "moderates": is_in(request.user, MODERATORS),
    }


def _branches(below: dict[int | None, list[Comment]], parent: int | None) -> list[tuple[Comment, list]]:
    return [(comment, _branches(below, comment.pk)) for comment in below[parent]]
