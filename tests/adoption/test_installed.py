"""A project that leaves Heliograph out of INSTALLED_APPS, or puts it in the wrong place, fails with what to do."""

from textwrap import dedent

import pytest

from tests.helpers.bare import run

CHECK = """
    from django.core.checks import run_checks
    report(*[(one.id, one.msg, one.hint) for one in run_checks() if one.id.startswith("heliograph")])
"""


def checked(installed, *, script="", folder=None):
    """Return what the system checks of a project with these apps say of Heliograph."""
    early = f"import sys; sys.path.insert(0, {str(folder)!r})"
    return run(dedent(script) + dedent(CHECK), early=early, INSTALLED_APPS=installed)


@pytest.fixture
def app(tmp_path):
    """Write an app with these modules into a folder, and return the folder."""

    def write(name, **modules):
        (tmp_path / name).mkdir()
        for module, text in {"__init__": "", **modules}.items():
            (tmp_path / name / f"{module}.py").write_text(dedent(text))
        return tmp_path

    return write


# --- INSTALLED_APPS -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "installed",
    [["heliograph"], ["heliograph.apps.HeliographConfig"], ["heliograph", "django.contrib.contenttypes"]],
)
def test_heliograph_in_the_first_place_is_right(installed):
    assert checked(installed) == []


def test_heliograph_that_is_used_and_not_installed_is_an_error():
    script = """
        from django.db.models.signals import post_save
        from heliograph import created, receiver
        def record(**kwargs): ...
        receiver(post_save, when=created)(record)
    """
    assert checked(["django.contrib.contenttypes"], script=script) == [
        (
            "heliograph.E004",
            "A receiver is connected by heliograph.receiver, and 'heliograph' is not in INSTALLED_APPS:"
            " Django's own dispatcher runs the signals, and nothing checks the receivers.",
            "Add 'heliograph' to INSTALLED_APPS, as the first entry.",
        )
    ]


def test_an_outbox_without_heliograph_is_an_error():
    ((number, text, hint),) = checked(["django.contrib.contenttypes", "heliograph.outbox"])
    assert (number, hint) == ("heliograph.E004", "Add 'heliograph' to INSTALLED_APPS, as the first entry.")
    assert text.startswith("INSTALLED_APPS has 'heliograph.outbox', and 'heliograph' is not in INSTALLED_APPS:")


def test_heliograph_below_other_apps_is_a_warning():
    ((number, text, hint),) = checked(["django.contrib.contenttypes", "django.contrib.auth", "heliograph"])
    assert number == "heliograph.W002"
    assert text.startswith("'heliograph' comes after 'django.contrib.contenttypes', 'django.contrib.auth' in INSTALL")
    assert hint == "Move 'heliograph' to the first place. If another app has to be there, silence heliograph.W002."


ABOVE = """
    from django.apps import AppConfig
    from django.db.models.signals import post_save
    from heliograph import receiver


    def record(**kwargs): ...


    class EarlyConfig(AppConfig):
        name = "early"
        try:
            receiver(post_save, order=1)(record)
        except TypeError as error:
            said = str(error)
"""


@pytest.mark.parametrize(
    ("installed", "advice"),
    [
        (
            ["early", "heliograph"],
            "Move 'heliograph' up in INSTALLED_APPS, above the app that connects this receiver: best to the first"
            " place.",
        ),
        (["early"], "Add 'heliograph' to INSTALLED_APPS, as the first entry."),
    ],
)
def test_an_order_that_comes_too_early_says_where_heliograph_belongs(app, installed, advice):
    folder = app("early", apps=ABOVE)
    said = run(
        "from early.apps import EarlyConfig\nreport(EarlyConfig.said)",
        early=f"import sys; sys.path.insert(0, {str(folder)!r})",
        INSTALLED_APPS=installed,
    )
    assert said == [f"order= works on signals that Heliograph runs, and post_save is not one. {advice}"]


# --- modules that nobody imports ----------------------------------------------------------------------------------

RECEIVERS = """
    import sys
    from django.db.models.signals import post_save
    from heliograph import receiver


    @receiver(post_save)
    def record(**kwargs): ...
"""
IMPORTED = """
    from django.apps import AppConfig


    class ShopConfig(AppConfig):
        name = "shop"

        def ready(self):
            from shop import receivers
"""


def test_receivers_that_nobody_imports_are_a_warning(app):
    assert checked(["heliograph", "shop"], folder=app("shop", receivers=RECEIVERS)) == [
        (
            "heliograph.W003",
            "Nothing imports shop.receivers: its receivers are not connected, and never called.",
            'Write `from shop import receivers` in AppConfig.ready(), or set HELIOGRAPH = {"AUTODISCOVER": True}.',
        )
    ]


def test_receivers_in_a_module_of_signals_that_nobody_imports_are_a_warning(app):
    ((number, _, hint),) = checked(["heliograph", "shop"], folder=app("shop", signals=RECEIVERS))
    assert (number, hint) == ("heliograph.W003", "Write `from shop import signals` in AppConfig.ready().")


def test_receivers_that_are_connected_by_a_method_count(app):
    connecting = "from django.db.models.signals import post_save\npost_save.connect(print)\n"
    assert len(checked(["heliograph", "shop"], folder=app("shop", signals=connecting))) == 1


def test_receivers_in_a_package_that_nobody_imports_are_a_warning(app):
    folder = app("shop")
    (folder / "shop" / "receivers").mkdir()
    (folder / "shop" / "receivers" / "__init__.py").touch()
    (folder / "shop" / "receivers" / "orders.py").write_text(dedent(RECEIVERS))
    assert len(checked(["heliograph", "shop"], folder=folder)) == 1


@pytest.mark.parametrize(
    "modules",
    [
        {"receivers": RECEIVERS, "apps": IMPORTED},
        {"receivers": '"""Receivers of the shop, of which there are none yet."""'},
        {"signals": "from heliograph import Signal\nshipped = Signal()"},
        {},
    ],
    ids=["imported", "nothing but a docstring", "signals alone", "no such module"],
)
def test_an_app_that_forgets_no_receiver_is_right(app, modules):
    assert checked(["heliograph", "shop"], folder=app("shop", **modules)) == []


@pytest.mark.parametrize(("value", "is_imported"), [(True, True), (False, False)])
def test_receivers_of_all_apps_are_imported_where_the_settings_ask_for_it(app, value, is_imported):
    early = f"import sys; sys.path.insert(0, {str(app('shop', receivers=RECEIVERS))!r})"
    settings = {"INSTALLED_APPS": ["heliograph", "shop"], "HELIOGRAPH": {"AUTODISCOVER": value}}
    assert run("import sys; report('shop.receivers' in sys.modules)", early=early, **settings) == [is_imported]


def test_receivers_are_left_to_their_apps_by_default(app):
    early = f"import sys; sys.path.insert(0, {str(app('shop', receivers=RECEIVERS))!r})"
    script = "import sys; report('shop.receivers' in sys.modules)"
    assert run(script, early=early, INSTALLED_APPS=["heliograph", "shop"]) == [False]


def test_apps_of_installed_packages_are_left_alone(app):
    folder = app("shop", receivers=RECEIVERS)
    script = f"import sysconfig; sysconfig.get_path = lambda kind: {str(folder)!r}"
    assert checked(["heliograph", "shop"], folder=folder, script=script) == []


def test_o3_migrating_the_outbox_back_leaves_no_table():
    script = """
        from django.core.management import call_command
        from django.db import connection
        def tables():
            return [name for name in connection.introspection.table_names() if "heliograph" in name]
        call_command("migrate", verbosity=0)
        before = tables()
        call_command("migrate", "heliograph_outbox", "zero", verbosity=0)
        report(bool(before), tables())
    """
    assert run(script, INSTALLED_APPS=["heliograph", "heliograph.outbox"]) == [True, []]


# --- receivers that nothing has kept ------------------------------------------------------------------------------

LOCAL = """
    from django.apps import AppConfig
    from django.db.models.signals import post_save
    from heliograph import created, receiver

    class ShopConfig(AppConfig):
        name = "shop"

        def ready(self):
            {connect}
            def greet(**kwargs): ...
            {after}
"""


@pytest.mark.parametrize(
    "connect", ["@receiver(post_save)", "@receiver(post_save, sender='contenttypes.ContentType', when=created)"]
)
def test_a_local_function_that_nothing_has_kept_is_a_warning(app, connect):
    folder = app("shop", apps=LOCAL.format(connect=connect, after=""))
    [(number, text, hint)] = checked(["heliograph", "django.contrib.contenttypes", "shop"], folder=folder)
    assert number == "heliograph.W004"
    assert text.startswith("A receiver of django.db.models.signals.post_save was garbage collected, and is never")
    assert hint == "Define it in a module, such as receivers.py, keep a reference to it, or pass weak=False."


@pytest.mark.parametrize(
    ("connect", "after"),
    [
        ("@receiver(post_save, weak=False)", ""),
        ("@receiver(post_save)", "self.greet = greet"),
        ("@receiver(post_save)", "post_save.disconnect(greet)"),
        ("", "post_save.connect(self.greet)"),
    ],
)
def test_a_local_function_that_is_kept_or_disconnected_is_right(app, connect, after):
    text = LOCAL.format(connect=connect, after=after) + "\n        def greet(self, **kwargs): ...\n"
    assert checked(["heliograph", "django.contrib.contenttypes", "shop"], folder=app("shop", apps=text)) == []
