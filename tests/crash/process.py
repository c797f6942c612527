"""A process of the project that is killed: `python -m tests.crash.process COMMAND`."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.crash.settings")

    import django

    django.setup()
    from tests.crash import scripts

    scripts.run(*sys.argv[1:])
