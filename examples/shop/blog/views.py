"""The pages of the blog: read, search, write, publish, follow."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST
from django.views.generic import DetailView, ListView
from heliograph.recipes.search import search

from blog import services
from blog.forms import PostForm
from blog.models import AuthorStatistics, Follow, Post

PUBLISHED = Q(status=Post.Status.PUBLISHED)


class PostListView(ListView):
    """The posts that are published; with a search, only the posts that have all searched words."""

    template_name = "blog/posts.html"
    paginate_by = 10

    def get_queryset(self) -> QuerySet[Post]:
        """Return the posts, the latest or the best match first."""
        posts = Post.objects.filter(PUBLISHED).select_related("author")
        words = self.request.GET.get("q", "").strip()
        return search(posts, words) if words else posts

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add what belongs to the visitor: drafts, and news of authors whom the visitor follows."""
        user = self.request.user
        mine = user.posts.exclude(PUBLISHED) if user.is_authenticated else ()
        news = user.notifications.select_related("post__author")[:8] if user.is_authenticated else ()
        return super().get_context_data(mine=mine, news=news, q=self.request.GET.get("q", ""), **kwargs)


class PostView(DetailView):
    """A post, with what its author may do with it."""

    template_name = "blog/post.html"

    def get_queryset(self) -> QuerySet[Post]:
        """Return the posts that the visitor may read: published ones, and their own."""
        mine = Q(author=self.request.user.pk)
        return Post.objects.filter(PUBLISHED | mine).select_related("author")


class AuthorView(DetailView):
    """An author, and what there is to read."""

    template_name = "blog/author.html"
    model = User
    slug_field = slug_url_kwarg = "username"
    context_object_name = "author"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the posts, the statistics, and whether the visitor follows the author."""
        author, user = self.object, self.request.user
        return super().get_context_data(
            posts=author.posts.filter(PUBLISHED),
            statistics=AuthorStatistics.objects.filter(author=author).first(),
            follows=Follow.objects.filter(author=author, follower=user.pk).exists(),
            followers=author.followers.count(),
            **kwargs,
        )


@login_required
def write(request: HttpRequest, slug: str | None = None) -> HttpResponse:
    """Store a post of the user, a new one or one that is there."""
    post = get_object_or_404(Post, slug=slug, author=request.user) if slug else Post(author=request.user)
    form = PostForm(request.POST or None, instance=post)
    if request.method == "POST" and form.is_valid():
        return redirect(form.save())
    return render(request, "blog/write.html", {"form": form, "post": post})


@require_POST
@login_required
def move(request: HttpRequest, slug: str) -> HttpResponse:
    """Publish a post of the user, withdraw it or delete it."""
    post = get_object_or_404(Post, slug=slug, author=request.user)
    action = request.POST.get("action")
    if action == "delete":
        post.delete()
        messages.success(request, f"{post} is gone, with its comments.")
        return redirect("blog:posts")
    try:
        {"publish": services.publish, "withdraw": services.withdraw}.get(action, services.publish)(post)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect(post)


@require_POST
@login_required
def follow(request: HttpRequest, username: str) -> HttpResponse:
    """Follow an author, or no longer."""
    author = get_object_or_404(User, username=username)
    act = services.unfollow if request.POST.get("action") == "unfollow" else services.follow
    act(request.user, author)
    return redirect("blog:author", username)
