"""Views that write, for the tests of the context of a request: a module of URLs."""

import asyncio

from asgiref.sync import sync_to_async
from django.contrib.auth import alogin, authenticate, login, logout
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

from heliograph.context import current
from tests.app.models import Article


def save(request):
    Article.objects.create(title=request.GET.get("title", ""))
    return HttpResponse()


async def save_async(request):
    await Article(title=request.GET.get("title", "")).asave()
    return HttpResponse()


async def save_in_threads(request):
    """Write by every way from async code into a thread."""
    await sync_to_async(Article.objects.create)(title="sync_to_async")
    await asyncio.to_thread(saved_apart, title="to_thread")
    await asyncio.create_task(Article(title="task").asave())
    return HttpResponse()


def saved_apart(**values):
    from django.db import connections

    try:
        Article.objects.create(**values)
    finally:
        connections.close_all()


async def asked(request):
    """Ask who it is in async code."""
    user = await request.auser()
    await Article(title=user.username).asave()
    actor = current().actor
    return HttpResponse(str(actor))


def ask(request):
    return HttpResponse(f"{current().actor} {current().request_id}")


async def ask_async(request):
    return HttpResponse(f"{current().actor} {current().request_id}")


def fail(request):
    Article.objects.create()
    raise ZeroDivisionError


def stream(request):
    def parts():
        for title in "ab":
            Article.objects.create(title=title)
            yield title

    return StreamingHttpResponse(parts())


async def stream_async(request):
    async def parts():
        for title in "ab":
            await Article(title=title).asave()
            yield title

    return StreamingHttpResponse(parts())


def log_in(request):
    with transaction.atomic():
        Article.objects.create(title="before")
        login(request, authenticate(username="ada", password="secret"))
        Article.objects.create(title="after")
    return HttpResponse()


async def log_in_async(request):
    user = await User.objects.aget(username="ada")
    await Article(title="before").asave()
    await alogin(request, user, "django.contrib.auth.backends.ModelBackend")
    await Article(title="after").asave()
    return HttpResponse()


def log_out(request):
    with transaction.atomic():
        Article.objects.create(title="before")
        logout(request)
        Article.objects.create(title="after")
    return HttpResponse()


def delete_account(request):
    with transaction.atomic():
        request.user.get_username()
        Article.objects.create()
        request.user.delete()
    return HttpResponse()


def cause_error(request):
    """Leave a transaction broken, and ask for the actor in it."""
    from django.db import DatabaseError, connection

    with transaction.atomic():
        try:
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO app_article (id) VALUES (NULL)")
        except DatabaseError:
            pass
        transaction.set_rollback(True)
        found = current().actor
    return HttpResponse(str(found))


urlpatterns = [
    path(f"{view.__name__}/", view)
    for view in (
        *(save, save_async, save_in_threads, asked, ask, ask_async, fail, stream, stream_async),
        *(log_in, log_in_async, log_out, delete_account, cause_error),
    )
]
