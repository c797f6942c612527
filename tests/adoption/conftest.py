"""What tests of Django's signals share: views, and a user who can log in."""

import pytest
from django.contrib.auth import get_user_model

from tests.app.models import Novel


@pytest.fixture
def views(settings):
    settings.ROOT_URLCONF = "tests.helpers.urls"


@pytest.fixture
def ada(db):
    return get_user_model().objects.create_user("ada", password="engine")


@pytest.fixture
def novel(db):
    return Novel.objects.create()
