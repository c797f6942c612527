"""Views that the tests of Django's signals request."""

from django.contrib.auth import authenticate, login, logout
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import connection
from django.http import Http404, HttpResponse
from django.urls import path

from heliograph import mute
from heliograph.signals import post_save
from tests.app.models import Writer

REFUSALS = {"missing": Http404, "forbidden": PermissionDenied, "bad": BadRequest, "suspicious": SuspiciousOperation}


def hello(request):
    return HttpResponse("hello")


def fail(request):
    raise ZeroDivisionError("the view failed")


def write_and_fail(request):
    Writer.objects.create(name="written by the view")
    raise ZeroDivisionError("the view failed")


def in_transaction(request):
    return HttpResponse(str(connection.in_atomic_block))


def refuse(request, how):
    raise REFUSALS[how]


def log_in(request):
    user = authenticate(request, username=request.GET["name"], password=request.GET["password"])
    if user:
        login(request, user)
    return HttpResponse("hello" if user else "who are you?")


def log_out(request):
    logout(request)
    return HttpResponse("bye")


async def save_quietly(request):
    with mute(post_save):
        await Writer.objects.acreate(name=request.GET["name"])
    return HttpResponse("saved")


async def save(request):
    await Writer.objects.acreate(name=request.GET["name"])
    return HttpResponse("saved")


urlpatterns = [
    path("hello/", hello),
    path("fail/", fail),
    path("write-and-fail/", write_and_fail),
    path("in-transaction/", in_transaction),
    path("refuse/<how>/", refuse),
    path("log-in/", log_in),
    path("log-out/", log_out),
    path("save-quietly/", save_quietly),
    path("save/", save),
]
