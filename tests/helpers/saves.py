"""What tests of saves need: a function before other receivers, and what a database returns."""

import django
from django.db import connection

from heliograph.signals import post_save


def listen_after(listen, model):
    """Connect a function of the instance to post_save, before the receivers that come later."""

    def connect(function):
        def holds(instance, **kwargs):
            function(instance)
            return False

        listen(post_save, sender=model, when=holds)

    return connect


def returns_expressions():
    """Return whether save() learns what an expression came to: from Django 6.0 on, where UPDATE can return rows."""
    return django.VERSION >= (6, 0) and connection.features.can_return_rows_from_update


def rename(model, name="Moons", **fields):
    """Create a row, and save it with another name."""
    instance = model.objects.create(name="Tides", **fields)
    instance.name = name
    instance.save()
    return instance
