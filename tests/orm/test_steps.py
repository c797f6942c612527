"""Steps around the methods of Django: they come and go in any order, beside the wrappers of other tools."""

import gc
import sys
from functools import wraps
from unittest import mock

import pytest
from django.db import transaction
from django.db.models import Model
from hypothesis import given
from hypothesis import strategies as st

from heliograph import BeforeCommit, OnCommit, changed
from heliograph.orm.steps import Method, PatchLease, join, leave, patched_methods
from heliograph.signals import post_save
from tests.app.models import Article
from tests.helpers.bare import run

# --- receivers ----------------------------------------------------------------------------------------------------


def first(sender, **kwargs): ...


def second(sender, **kwargs): ...


PAIRS = """
    from itertools import product

    from django.contrib.auth.models import Group
    from django.db import transaction
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model, QuerySet
    from django.db.models.deletion import Collector
    from django.db.models.fields.related_descriptors import ManyToManyDescriptor
    from django.db.models.query_utils import DeferredAttribute
    from django.db.models.sql import DeleteQuery, InsertQuery, UpdateQuery
    from heliograph import BeforeCommit, Inline, OnCommit, OnRollback, changed, created
    from heliograph.signals import m2m_changes, post_save, post_update, pre_save

    def receiver(sender, **kwargs): ...
    def other(sender, batch=None, **kwargs): ...

    RECEIVERS = [
        (post_save, {"sender": Group, "when": changed("name")}),
        (pre_save, {"when": created | changed()}),
        (post_save, {"sender": Group, "delivery": BeforeCommit()}),
        (post_save, {"sender": Group, "delivery": OnCommit(batch=True)}),
        (pre_save, {"delivery": OnCommit()}),
        (post_save, {"sender": Group, "delivery": OnRollback()}),
        (post_save, {"sender": Group, "delivery": Inline(batch=True), "bulk": True}),
        (post_save, {"sender": Group, "when": changed("name"), "bulk": True}),
        (post_update, {"sender": Group}),
        (m2m_changes, {}),
    ]
    OWNERS = [
        *(Group, Model, QuerySet, Collector, DeleteQuery, InsertQuery, UpdateQuery, DeferredAttribute),
        *(BaseDatabaseWrapper, ManyToManyDescriptor, transaction.Atomic),
    ]

    def attributes():
        found = {(owner, name): value for owner in OWNERS for name, value in vars(owner).items()}
        found.pop((transaction.Atomic, "_heliograph_exit"), None)  # for a thread that ends a block at this moment
        return {key: (value, getattr(value, "__code__", None)) for key, value in found.items()}

    before = attributes()
    for pair in product(RECEIVERS, repeat=2):
        functions = [other, other] if pair[0] != pair[1] else [other, lambda sender, batch=None, **kwargs: None]
        for function, (signal, options) in zip(functions, pair):
            signal.connect(function, weak=False, dispatch_uid=str(options), **options)
            if attributes() == before:
                report(f"nothing is there for {signal} {options}")
        for _, (signal, options) in zip(functions, pair):
            signal.disconnect(dispatch_uid=str(options), sender=options.get("sender"))
        if attributes() != before:
            report(f"something stays of {pair}")
    report("done")
"""


def test_django_is_as_it_was_when_two_receivers_have_left_in_the_order_in_which_they_came():
    apps = ["heliograph", "django.contrib.auth", "django.contrib.contenttypes"]
    assert run(PAIRS, INSTALLED_APPS=apps) == ["done"]


WRAPPERS = """
    import heliograph
    from django.contrib.auth.models import Group
    from heliograph import BeforeCommit, OnCommit, changed
    from heliograph.orm.steps import patched_methods
    from heliograph.signals import m2m_changes, post_save

    PACKAGE = heliograph.__file__.removesuffix("__init__.py")

    def receiver(sender, batch=None, **kwargs): ...

    def wrappers(owner, name):
        found = vars(owner)[name]
        found = getattr(found, "__func__", found)
        while found.__code__.co_filename.startswith(PACKAGE) and found.__code__.co_name != "passed_on":
            yield found.__code__.co_filename.removeprefix(PACKAGE)
            found = found.__wrapped__  # Django's, or what looks up an inherited method, which may have steps too

    options = {"when": changed("name"), "bulk": True, "delivery": BeforeCommit(batch=True)}
    post_save.connect(receiver, sender=Group, weak=False, **options)
    post_save.connect(receiver, weak=False, delivery=OnCommit(), dispatch_uid="all models")
    m2m_changes.connect(receiver, weak=False)
    for owner, name, steps in patched_methods():
        if isinstance(owner, type) and callable(getattr(owner, name)):
            report((name, *wrappers(owner, name)))
"""


def test_each_patched_method_has_one_wrapper_around_the_method_of_django_whatever_the_receivers_need():
    apps = ["heliograph", "django.contrib.auth", "django.contrib.contenttypes"]
    found = run(WRAPPERS, INSTALLED_APPS=apps)
    assert {len(one) for one in found} == {2}
    assert {*found} >= {
        ("save_base", "orm/saving.py"),
        ("_save_table", "orm/saving.py"),
        ("from_db", "orm/loading.py"),
        ("bulk_create", "orm/querysets.py"),
        ("delete", "orm/deletion.py"),
        ("commit", "orm/savepoints.py"),
    }


def depth_of_save():
    """Return how many frames there are between a save and its statement."""
    depths = []

    def measure(execute, *args):
        depth, frame = 0, sys._getframe()
        while frame is not None:
            depth, frame = depth + 1, frame.f_back
        depths.append(depth)
        return execute(*args)

    with transaction.get_connection().execute_wrapper(measure):
        Article.objects.create()
    return depths[0]


@pytest.mark.django_db
@pytest.mark.parametrize("delivery", [BeforeCommit(), OnCommit()], ids=repr)
def test_a_save_is_as_deep_after_a_thousand_rounds_of_receivers_that_leave_as_they_came(delivery):
    before = depth_of_save()
    for _ in range(1000):

        def earlier(sender, **kwargs): ...

        def later(sender, **kwargs): ...

        post_save.connect(earlier, sender=Article, when=changed("title"))
        post_save.connect(later, sender=Article, delivery=delivery)
        del earlier, later
    assert depth_of_save() <= before  # an error that Django keeps may hold receivers of an earlier test at first


@pytest.mark.django_db
def test_a_save_beside_a_tool_that_stays_is_as_deep_after_a_thousand_rounds_as_after_one():
    def one_round():
        post_save.connect(first, sender=Article, when=changed("title"))
        post_save.connect(second, sender=Article, delivery=OnCommit())
        post_save.disconnect(first, sender=Article)
        post_save.disconnect(second, sender=Article)

    post_save.connect(first, sender=Article, when=changed("title"))
    with mock.patch.object(Article, "_save_table", around(Article._save_table, [])):
        one_round()
        once = depth_of_save()
        for _ in range(1000):
            one_round()
        assert depth_of_save() == once
    post_save.disconnect(first, sender=Article)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["save_base", "_save_table"])
def test_receivers_that_come_and_leave_while_a_method_is_mocked_are_called_after_it_too(connect, name):
    received = []
    connect(post_save, first, sender=Article, delivery=OnCommit())
    with mock.patch.object(Model, name, around(vars(Model)[name], [])):
        connect(post_save, lambda sender, **kwargs: received.append(sender), delivery=OnCommit(), weak=False)
    Article.objects.create()
    assert received == [Article]


# --- steps --------------------------------------------------------------------------------------------------------


def around(inner, called):
    """Return a wrapper of a tool around a method."""

    @wraps(inner)
    def wrapper(self, *args, **kwargs):
        called.append("tool")
        return inner(self, *args, **kwargs)

    return wrapper


def wrapped(inner, run):
    @wraps(inner)
    def with_steps(self):
        return run(self)

    return with_steps


METHOD = Method("method", ("outer", "middle", "inner", "innermost"), wrapped)


def recording(owner, called, name, place="inner"):
    """Return a step that records its calls."""

    def step(proceed, self):
        called.append(name)
        return proceed(self)

    return METHOD.step(place, step, owner)


class Base:
    def method(self):
        return ["Base"]


def make_classes():
    class Parent(Base):
        def method(self):
            return ["Parent", *super().method()]

    class Child(Parent):
        pass

    return Parent, Child


@pytest.fixture
def parent():
    return make_classes()[0]


def test_steps_run_in_the_declared_order_however_they_came(parent):
    called = []
    steps = [recording(parent, called, place, place) for place in ("middle", "outer", "inner")]
    for step in steps:
        join([step])
    parent().method()
    assert called == ["outer", "middle", "inner"]
    leave(steps)


def test_a_step_that_its_method_does_not_declare_is_refused(parent):
    with pytest.raises(LookupError) as caught:
        recording(parent, [], "step", "outermost")
    assert str(caught.value) == ("method has no step named 'outermost'. Its steps are outer, middle, inner, innermost.")


def test_a_method_says_which_steps_it_has_as_long_as_it_has_some(parent):
    steps = [recording(parent, [], place, place) for place in ("middle", "outer")]
    join(steps)
    assert (parent, "method", ("outer", "middle")) in patched_methods()
    leave(steps)
    assert parent not in [patched.owner for patched in patched_methods()]


def test_a_method_with_several_steps_has_one_wrapper_which_calls_what_was_there(parent):
    original = vars(parent)["method"]
    steps = [recording(parent, [], place, place) for place in ("outer", "inner")]
    for step in steps:
        join([step])
    wrapper = vars(parent)["method"]
    assert wrapper.__wrapped__ is original
    leave(steps)


def test_a_method_is_the_object_that_it_was_when_its_last_step_has_left(parent):
    before = vars(parent)["method"]
    step, other = recording(parent, [], "a"), recording(parent, [], "b")
    join([step, other])
    leave([step])
    assert vars(parent)["method"] is not before
    leave([other])
    assert vars(parent)["method"] is before


def test_a_class_that_inherits_a_method_inherits_it_again_when_the_last_step_has_left():
    parent, child = make_classes()
    step, of_parent = recording(child, [], "child"), recording(parent, [], "parent")
    join([step])
    join([of_parent])
    leave([step])
    assert "method" not in vars(child)
    leave([of_parent])


def test_a_class_method_that_is_inherited_is_passed_on_to_the_class_that_calls_it():
    class Parent:
        @classmethod
        def method(cls):
            """Return its class."""
            return cls

    class Child(Parent): ...

    class Grandchild(Child): ...

    def wrap(inner, steps):
        return classmethod(lambda cls: steps[0](inner.__get__(None, cls)))

    step = Method("method", ("step",), wrap, are_around=False).step("step", lambda proceed: [proceed()], Child)
    join([step])
    assert Grandchild.method() == [Grandchild]
    with mock.patch.object(Child, "method", classmethod(around(vars(Child)["method"].__func__, []))):
        leave([step])
        assert Grandchild.method() is Grandchild
    assert Grandchild.method() is Grandchild
    assert "method" not in vars(Child)


def test_a_step_that_a_tool_has_wrapped_does_nothing_once_it_has_left(parent):
    called = []
    step = recording(parent, called, "step")
    join([step])
    parent.method = around(parent.method, called)
    leave([step])
    assert parent().method() == ["Parent", "Base"]
    assert called == ["tool"]


def test_a_step_that_comes_back_around_a_tool_runs_once(parent):
    called = []
    step = recording(parent, called, "step")
    join([step])
    parent.method = around(parent.method, called)
    leave([step])
    join([step])
    parent().method()
    assert called == ["step", "tool"]
    leave([step])


def test_a_method_is_its_own_again_when_a_tool_puts_back_what_it_has_found(parent):
    before = vars(parent)["method"]
    step = recording(parent, [], "step")
    join([step])
    found = parent.method
    parent.method = around(found, [])
    leave([step])
    parent.method = found
    assert parent().method() == ["Parent", "Base"]
    assert vars(parent)["method"] is before


def test_steps_that_came_beside_a_tool_run_when_it_puts_back_what_it_has_found(parent):
    called = []
    step, later = recording(parent, called, "step"), recording(parent, called, "later", "outer")
    join([step])
    found = parent.method
    parent.method = around(found, called)
    join([later])
    parent.method = found
    parent().method()
    assert called == ["later", "step"]
    leave([step, later])


def test_a_tool_that_is_no_function_is_called_through_a_step(parent):
    tool = mock.Mock(return_value="mocked")
    step = recording(parent, [], "step")
    join([step])
    parent.method = tool
    found = recording(parent, [], "other")
    join([found])
    assert parent().method() == "mocked"
    leave([step, found])
    assert parent.method is tool


def test_the_steps_of_a_lease_are_there_for_as_long_as_somebody_has_what_it_gave(parent):
    called = []
    lease = PatchLease(lambda: [recording(parent, called, "step")])
    taken = [lease.take(), lease.take()]
    parent().method()
    taken.pop()
    gc.collect()
    parent().method()
    taken.pop()
    gc.collect()
    parent().method()
    assert called == ["step", "step"]


def test_a_step_that_cannot_be_built_says_so_where_it_joins(parent):
    broken = Method("method", ("step",), lambda inner, run: 1 / 0).step("step", lambda: None, parent)
    with pytest.raises(ZeroDivisionError):
        join([broken])
    leave([broken])
    assert parent().method() == ["Parent", "Base"]


ACTIONS = st.tuples(st.sampled_from(["toggle", "toggle", "wrap", "unwrap"]), st.integers(0, 1), st.integers(0, 3))


@given(st.lists(ACTIONS, max_size=40))
def test_whatever_the_order_in_which_steps_and_tools_come_and_go_each_step_runs_once_and_nothing_stays(actions):
    owners, called = make_classes(), []
    before = [vars(owner).get("method") for owner in owners]
    steps = {
        (at, one): recording(owner, called, (at, one), METHOD.order[one])
        for at, owner in enumerate(owners)
        for one in range(4)
    }
    joined, found = set(), ([], [])
    for action, at, one in actions:
        act(action, owners[at], found[at], steps[at, one], joined, called)
        called.clear()
        assert owners[1]().method() == ["Parent", "Base"]
        assert sorted(name for name in called if name != "tool") == sorted(key for key in steps if steps[key] in joined)
    while joined:
        leave([joined.pop()])
    for owner, wrapped in zip(owners, found, strict=True):
        for _ in [*wrapped]:
            act("unwrap", owner, wrapped, None, joined, called)
            owner().method()  # by which a step that a tool has put back leaves
    assert [vars(owner).get("method") for owner in owners] == before


def act(action, owner, found, step, joined, called):
    """Let a step join or leave, or a tool wrap a method or put back what it has found."""
    if action == "toggle":
        (leave if step in joined else join)([step])
        joined ^= {step}
    elif action == "wrap":
        before = vars(owner).get("method")
        found.append((before, around(before or inherited(owner), called)))
        owner.method = found[-1][1]
    elif found and may_put_back(owner, *found[-1]):
        before, _ = found.pop()
        if before is None:
            del owner.method
        else:
            owner.method = before


def inherited(owner):
    return lambda self: super(owner, self).method()


def may_put_back(owner, before, wrapper):
    """Return whether a tool removes nothing but its own wrapper: nobody has wrapped that, or it has found steps."""
    return vars(owner)["method"] is wrapper or (
        before is not None and before.__code__.co_name in ("with_steps", "passing_on")
    )
