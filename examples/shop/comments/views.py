"""The pages on which readers write comments, and moderators show or hide them."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from blog.models import Post
from comments.forms import CommentForm
from comments.models import Comment
from onboarding.roles import MODERATORS, is_in, only


@require_POST
@login_required
def say(request: HttpRequest, slug: str) -> HttpResponse:
    """Store a comment of the user on a post, or a reply to another comment."""
    post = get_object_or_404(Post, slug=slug, status=Post.Status.PUBLISHED)
    parent = request.POST.get("parent")
    comment = Comment(post=post, author=request.user)
    if parent:
        comment.parent = get_object_or_404(post.comments.filter(status=Comment.Status.SHOWN), pk=parent)
    form = CommentForm(request.POST, instance=comment)
    if not form.is_valid():
        messages.error(request, "A comment says something.")
        return redirect(post)
    form.save()
    if comment.status == Comment.Status.WAITING:
        messages.warning(request, "Your comment has a link: a moderator looks at it first.")
        return redirect(post)
    return redirect(comment)


@require_POST
@login_required
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a comment of the user, or as a moderator any, with all replies."""
    mine = Q() if is_in(request.user, MODERATORS) else Q(author=request.user)
    comment = get_object_or_404(Comment.objects.filter(mine), pk=pk)
    comment.delete()
    return redirect(comment.post)


def latest(request: HttpRequest) -> HttpResponse:
    """Show what was said lately, and to moderators what waits or is hidden."""
    comments = Comment.objects.filter(post__status=Post.Status.PUBLISHED).select_related("author", "post")
    moderates = is_in(request.user, MODERATORS)
    return render(
        request,
        "comments/latest.html",
        {
            "shown": comments.filter(status=Comment.Status.SHOWN).order_by("-pk")[:20],
            "waiting": comments.exclude(status=Comment.Status.SHOWN) if moderates else (),
            "moderates": moderates,
        },
    )


@require_POST
@only(MODERATORS)
def moderate(request: HttpRequest, pk: int) -> HttpResponse:
    """Show or hide a comment."""
    comment = get_object_or_404(Comment, pk=pk)
    comment.status = Comment.Status.HIDDEN if request.POST.get("action") == "hide" else Comment.Status.SHOWN
    try:
        comment.save(update_fields=["status"])
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect("comments:latest")
