"""The signals that the blog declares."""

from heliograph import Signal

from blog.models import Post


@Signal.define
def followers_left(sender, *, post: Post, after: int) -> None:
    """Followers of the author do not know of a post yet: those whose `Follow` has a greater key than `after`."""
