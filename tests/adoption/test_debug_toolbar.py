"""django-debug-toolbar lists the receivers of each signal."""

import pytest

from tests.helpers.bare import run

SETTINGS = {
    "INSTALLED_APPS": ["django.contrib.staticfiles", "django.contrib.contenttypes", "heliograph", "debug_toolbar"],
    "STATIC_URL": "/static/",
    "ROOT_URLCONF": "tests.urls",
    "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    "SECRET_KEY": "not a secret",
    "DEBUG": True,
}
LISTED = """
from debug_toolbar.toolbar import DebugToolbar
from django.http import HttpResponse
from django.test import RequestFactory
from heliograph.signals import post_save

class Recorder:
    def record(self, **kwargs):
        pass
    def __call__(self, **kwargs):
        pass

def first(**kwargs):
    pass

def second(**kwargs):
    pass

def listed():
    request = RequestFactory().get("/")
    toolbar = DebugToolbar(request, lambda request: HttpResponse())
    panel = toolbar.get_panel_by_id("SignalsPanel")
    panel.generate_stats(request, HttpResponse())
    return dict(panel.get_stats()["signals"])["post_save"]
"""


@pytest.mark.parametrize(
    ("steps", "reported"),
    [
        ("post_save.connect(first, sender=int)", ["first"]),
        ("post_save.connect(first, weak=False)", ["first"]),
        ("post_save.connect(first); post_save.connect(second, order=-1)", ["second", "first"]),
        ("post_save.connect(first, when=lambda **kwargs: True)", ["first"]),
        ("recorder = Recorder(); post_save.connect(recorder.record)", ["Recorder.record"]),
        ("recorder = Recorder(); post_save.connect(recorder.record, when=lambda **kwargs: True)", ["Recorder.record"]),
        ("post_save.connect(first); del first; import gc; gc.collect()", []),
    ],
    ids=[
        "a function",
        "a strongly connected function",
        "in order",
        "with a condition",
        "a method",
        "a method with a condition",
        "not the dead",
    ],
)
def test_the_signals_panel_lists(steps, reported):
    assert run(f"{LISTED}\n{steps}\nreport(listed())", **SETTINGS) == [reported]
