"""What can be a receiver, and what makes two receivers the same one."""

import copy
import functools
import importlib
import sys

import pytest

from heliograph.dispatch import Signal, receiver


def module_level(**kwargs):
    return "module level"


class Handler:
    def method(self, **kwargs):
        return "method"

    @classmethod
    def on_class(cls, **kwargs):
        return cls.__name__

    @staticmethod
    def static(**kwargs):
        return "static"

    def __call__(self, **kwargs):
        return "object"


class OtherHandler(Handler):
    pass


def responses(signal):
    return [response for _, response in signal.send(None)]


kept = Handler()


@pytest.mark.parametrize(
    ("receiver", "response"),
    [
        (module_level, "module level"),
        (lambda **kwargs: "lambda", "lambda"),
        (functools.partial(module_level), "module level"),
        (kept.method, "method"),
        (Handler.on_class, "Handler"),
        (Handler.static, "static"),
        (kept, "object"),
    ],
    ids=["function", "lambda", "partial", "bound method", "class method", "static method", "object"],
)
def test_d3_every_kind_of_callable_connects_once_and_disconnects(signal, receiver, response):
    signal.connect(receiver)
    signal.connect(receiver)
    assert responses(signal) == [response]
    assert signal.disconnect(receiver)
    assert responses(signal) == []


def test_a_bound_method_is_known_by_its_owner_and_function(signal):
    signal.connect(kept.method)
    signal.connect(kept.method)
    other = Handler()
    signal.connect(other.method)
    assert responses(signal) == ["method", "method"]


def test_a_class_method_of_a_subclass_is_another_receiver(signal):
    signal.connect(Handler.on_class)
    signal.connect(OtherHandler.on_class)
    assert responses(signal) == ["Handler", "OtherHandler"]


def test_functions_made_in_a_loop_are_different_receivers(signal):
    made = []
    for number in range(3):

        def receiver(number=number, **kwargs):
            return number

        receiver.__qualname__ = "receiver"  # as if the loop stood at module level
        made.append(receiver)
        signal.connect(receiver)
    signal.connect(made[1])
    assert responses(signal) == [0, 1, 2]
    assert signal.disconnect(made[0])
    assert not signal.disconnect(made[0])
    assert responses(signal) == [1, 2]


def test_two_decorated_versions_of_one_function_are_different_receivers(signal):
    def decorated(mark):
        @functools.wraps(module_level)
        def wrapper(**kwargs):
            return mark

        return wrapper

    one, two = decorated(1), decorated(2)
    for function in (one, two, module_level):
        signal.connect(function)
    assert responses(signal) == [1, 2, "module level"]


@pytest.fixture
def receivers_module(tmp_path, monkeypatch):
    """Return a function that writes the module `app_receivers` and one that forgets its imports."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    path = tmp_path / "package" / "app_receivers.py"
    monkeypatch.syspath_prepend(tmp_path / "package")
    yield path
    for name in ("app_receivers", "package.app_receivers", "package"):
        sys.modules.pop(name, None)


def test_a_module_imported_under_two_names_connects_once(signal, receivers_module):
    receivers_module.write_text("def receives(**kwargs): return __name__\n")
    signal.connect(importlib.import_module("app_receivers").receives)
    signal.connect(importlib.import_module("package.app_receivers").receives)
    assert responses(signal) == ["package.app_receivers"]


def test_a_decorated_function_imported_under_two_names_connects_once(signal, receivers_module):
    receivers_module.write_text(
        "import functools\n"
        "def plain(function):\n"
        "    @functools.wraps(function)\n"
        "    def wrapper(**kwargs): return function(**kwargs)\n"
        "    return wrapper\n"
        "@plain\n"
        "def receives(**kwargs): return __name__\n"
    )
    signal.connect(importlib.import_module("app_receivers").receives)
    signal.connect(importlib.import_module("package.app_receivers").receives)
    assert responses(signal) == ["package.app_receivers"]


def test_a_reloaded_function_takes_the_place_of_the_old_one(signal, receivers_module):
    receivers_module.write_text("def receives(**kwargs): return 'old'\n")
    module = importlib.import_module("app_receivers")
    old = module.receives
    signal.connect(old, weak=False)
    signal.connect(module_level)
    receivers_module.write_text("\n\ndef receives(**kwargs): return 'new and longer'\n")
    importlib.reload(module)
    signal.connect(module.receives)
    assert responses(signal) == ["new and longer", "module level"]
    assert signal.disconnect(module.receives)
    assert responses(signal) == ["module level"]


def test_two_functions_that_one_module_gives_the_same_name_are_two(signal, receivers_module):
    receivers_module.write_text(
        "connected = []\n"
        "def keep(function): connected.append(function); return function\n"
        "@keep\n"
        "def receives(**kwargs): return 'one'\n"
        "@keep\n"
        "def receives(**kwargs): return 'two'\n"
    )
    module = importlib.import_module("app_receivers")
    one, two = module.connected
    module.receives = one  # as it is where a decorator connects the second
    signal.connect(one, weak=False)
    signal.connect(two, weak=False)
    assert responses(signal) == ["one", "two"]
    assert signal.disconnect(two)
    assert responses(signal) == ["one"]


def test_a_decorator_that_copies_only_the_name_makes_different_receivers(signal, receivers_module):
    receivers_module.write_text(
        "def one(function):\n"
        "    def wrapper(**kwargs): return 'one'\n"
        "    wrapper.__qualname__ = function.__qualname__\n"
        "    return wrapper\n"
        "def two(function):\n"
        "    def wrapper(**kwargs): return 'two'\n"
        "    wrapper.__qualname__ = function.__qualname__\n"
        "    return wrapper\n"
    )
    module = importlib.import_module("app_receivers")
    one, two = module.one(module_level), module.two(module_level)
    signal.connect(one)
    signal.connect(two)
    assert responses(signal) == ["one", "two"]


def test_a_function_that_wraps_a_class_connects(signal):
    @functools.wraps(Handler)
    def wrapper(**kwargs):
        return "wrapper"

    signal.connect(wrapper)
    assert responses(signal) == ["wrapper"]


def test_a_falsy_receiver_with_options_is_called(signal):
    class Falsy(list):
        __hash__ = object.__hash__

        def __call__(self, **kwargs):
            return "falsy"

    falsy = Falsy()
    signal.connect(falsy, when=lambda **kwargs: True)
    assert responses(signal) == ["falsy"]


def test_functions_without_a_file_are_known_by_identity(signal):
    one, two = {}, {}
    exec("def receives(**kwargs): return 1", one)
    exec("def receives(**kwargs): return 2", two)
    signal.connect(one["receives"])
    signal.connect(two["receives"])
    assert responses(signal) == [1, 2]


def test_the_decorator_connects_to_one_signal_or_to_several():
    one, two = Signal(), Signal()

    @receiver([one, two], order=3)
    def receives(**kwargs):
        return "received"

    assert responses(one) == responses(two) == ["received"]
    assert receives() == "received"


def test_rows_that_are_put_back_after_a_disconnect_have_their_options():
    signal, calls = Signal(), []

    def record(**kwargs):
        calls.append(kwargs)

    signal.connect(record, when=lambda **kwargs: False)
    rows = signal.receivers
    signal.disconnect(record)
    signal.receivers = rows
    signal.send(None)
    assert calls == []


@pytest.mark.parametrize("options", [{}, {"when": lambda **kwargs: True}], ids=["plain", "with options"])
def test_rows_can_be_copied_deeply_and_put_back(options):
    signal, calls = Signal(), []

    def record(**kwargs):
        calls.append(kwargs)

    signal.connect(record, **options)
    signal.receivers = copy.deepcopy(list(signal.receivers))
    signal.send(None)
    assert len(calls) == 1
