"""The verbs of the command `audit`: a module each, with the arguments of the verb and the function that runs it.

    manage.py audit seal | verify | forget | prune | partition | protect | unprotect | import

A new verb is a module here with `add_arguments(parser)` and `run(command, options)`, and a line in `VERBS`.
"""

from __future__ import annotations

from heliograph.audit.importing import import_verb
from heliograph.audit.verbs import forget_verb, partition_verb, protect_verb, prune_verb, seal_verb, verify_verb
from heliograph.command_verbs import Verb

VERBS: dict[str, Verb] = {
    "seal": Verb("close what was written since the last seal", seal_verb.add_arguments, seal_verb.run),
    "verify": Verb(
        "name what was altered, removed or added past Heliograph, and exit with 1 if anything was",
        verify_verb.add_arguments,
        verify_verb.run,
    ),
    "forget": Verb("remove the values of a person, and keep the proof", forget_verb.add_arguments, forget_verb.run),
    "prune": Verb("delete entries that are older than they are kept", prune_verb.add_arguments, prune_verb.run),
    "partition": Verb(
        "let the entries be in partitions of PostgreSQL, which audit prune drops whole",
        partition_verb.add_arguments,
        partition_verb.run,
    ),
    "protect": Verb(
        "let the database refuse to change the audit log, by triggers", protect_verb.add_arguments, protect_verb.protect
    ),
    "import": Verb(import_verb.HELP, import_verb.add_arguments, import_verb.run),
    "unprotect": Verb("remove the triggers of protect", protect_verb.add_arguments, protect_verb.unprotect),
}
