"""The setting that links the change page of every audited model to its history, and the check of it."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from heliograph.audit.checks import check_admin, check_settings
from heliograph.audit.conf import audit_settings

pytestmark = pytest.mark.database_independent


@pytest.fixture
def links(settings):
    settings.HELIOGRAPH = {"AUDIT": {"ADMIN": True}}


def put_last(settings):
    settings.INSTALLED_APPS = [
        *(one for one in settings.INSTALLED_APPS if one != "heliograph.audit"),
        "heliograph.audit",
    ]


def test_the_app_stands_before_the_admin(links):
    assert check_admin(None) == []


def test_behind_the_admin_there_are_no_links_and_a_check_says_so(links, settings):
    put_last(settings)

    [found] = check_admin(None)

    assert found.id == "heliograph.W302"
    assert found.hint == "Write 'heliograph.audit' before 'django.contrib.admin' in INSTALLED_APPS."


def test_without_the_setting_the_order_does_not_matter(settings):
    put_last(settings)

    assert check_admin(None) == []


def test_a_setting_that_is_neither_true_nor_false_is_refused(settings):
    settings.HELIOGRAPH = {"AUDIT": {"ADMIN": "yes"}}

    with pytest.raises(ImproperlyConfigured, match=r"HELIOGRAPH\['AUDIT'\]\['ADMIN'\] takes True or False, not 'yes'"):
        audit_settings()
    assert [found.id for found in check_settings(None)] == ["heliograph.E302"]
    assert check_admin(None) == []
