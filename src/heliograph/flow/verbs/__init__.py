"""The verbs of the command `signals`: a module each, with the arguments of the verb and the function that runs it.

    manage.py signals list | explain | graph | check-drift | asyncapi | patches
    manage.py signals trace | record -- COMMAND ...

A new verb is a module here with `add_arguments(parser)` and `run(command, options)`, and a line in `VERBS`.
"""

from __future__ import annotations

from heliograph.command_verbs import Verb
from heliograph.flow.verbs import (
    asyncapi_verb,
    check_drift_verb,
    explain_verb,
    graph_verb,
    list_verb,
    patches_verb,
    record_verb,
    trace_verb,
)

VERBS: dict[str, Verb] = {
    "list": Verb(
        "print every signal with its receivers, in the order of their calls", list_verb.add_arguments, list_verb.run
    ),
    "explain": Verb(
        "show which receivers a write would call, in order and why", explain_verb.add_arguments, explain_verb.run
    ),
    "graph": Verb(
        "print a graph: which sends call which receivers, and what receivers write",
        graph_verb.add_arguments,
        graph_verb.run,
    ),
    "check-drift": Verb(
        "compare who receives what with a file; exit status 1 if something differs",
        check_drift_verb.add_arguments,
        check_drift_verb.run,
    ),
    "asyncapi": Verb(
        "print an AsyncAPI document of the signals that Signal.define has made",
        asyncapi_verb.add_arguments,
        asyncapi_verb.run,
    ),
    "patches": Verb(
        "print the methods of Django that are patched now, with their steps in order",
        patches_verb.add_arguments,
        patches_verb.run,
    ),
    "trace": Verb("run a management command, and print what it has caused", trace_verb.add_arguments, trace_verb.run),
    "record": Verb(
        "run a command, and write a test that asserts what it has sent, called and enqueued",
        record_verb.add_arguments,
        record_verb.run,
    ),
}
