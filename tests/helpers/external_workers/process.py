"""A process of the project: `python -m tests.helpers.external_workers.process COMMAND`, of Django's or `serve`."""

import os
import shlex
import sys

ROLE = "HELIOGRAPH_TEST_ROLE"


def serve():
    """Do what each line of the input says, `send SIGNAL TITLE ...` or `look_after`; write a line when it is done."""
    from heliograph.outbox.upkeep.rescuing import rescue
    from heliograph.outbox.upkeep.sweeping import sweep
    from tests.helpers.external_workers.senders import send

    for line in sys.stdin:
        match shlex.split(line):
            case ["send", *arguments]:
                print(send(*arguments), flush=True)
            case ["look_after"]:
                print(rescue("default"), sweep("default"), flush=True)


def main(name, *arguments):
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.helpers.external_workers.settings")
    if name == "serve":
        os.environ[ROLE] = "sender"

    import django

    django.setup()
    if name == "serve":
        serve()
    else:
        from django.core.management import execute_from_command_line

        execute_from_command_line(["manage.py", name, *arguments])


if __name__ == "__main__":
    main(*sys.argv[1:])
