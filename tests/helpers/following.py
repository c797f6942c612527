"""A reader who follows a tutorial to the letter: types each command, writes each file, and compares each output."""

import doctest
import re
import subprocess
from dataclasses import dataclass
from itertools import groupby

BLOCK = re.compile(r"^```(sh|python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A block of Python that begins with the comment "# shop/models.py" is that file, or lines at its end.
FILE = re.compile(r"# ([\w/]+\.py)(: add at the end)?\n")
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# What `manage.py shell` reads, where a person types: the prompts of some blocks, each with what it prints.
TYPED = """
import doctest, sys
runner, names = doctest.DocTestRunner(optionflags={options}), globals()
for text, where, line in {blocks}:
    test = doctest.DocTestParser().get_doctest(text, {{}}, where, where, line)
    test.globs = names
    runner.run(test, clear_globs=False)
sys.exit(runner.failures > 0)
"""
END = "-- the command has ended --"


class DifferenceError(AssertionError):
    """The reader sees something else than the page shows."""


@dataclass(frozen=True)
class Block:
    """A block of a page: a command, a file, prompts of Python, or the output of the command before it."""

    page: str
    line: int
    kind: str
    text: str

    @property
    def where(self):
        return f"{self.page}:{self.line}"


def blocks(path):
    """Return the blocks of a page, in order; `line` is that of the first line inside."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(path.name, text.count("\n", 0, match.start()) + 2, _kind(*match.groups()), match[2])
        for match in BLOCK.finditer(text)
    ]


def _kind(language, text):
    if language != "python":
        return {"sh": "command", "text": "output"}[language]
    return "file" if FILE.match(text) else "prompts"


class Reader:
    """Somebody in an empty folder, with one shell for all pages."""

    def __init__(self, folder, environment):
        self.folder = folder
        self.shell = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shell.communicate(timeout=60)

    def follow(self, path):
        """Do what a page says, until something is different."""
        printed = ""
        for kind, some in groupby(blocks(path), key=lambda block: block.kind):
            match kind, [*some]:
                case "command", commands:
                    printed = "".join(self.type(one) for one in commands)
                case "file", files:
                    for one in files:
                        self.write(one)
                case "prompts", prompts:
                    self.type_into_python(prompts)
                case "output", [output]:
                    compare(output, printed)

    def type(self, block):
        """Run a block of commands, and return what they print: `manage.py shell` waits for its prompts."""
        *commands, last = block.text.splitlines()
        self.python = last if last == "python manage.py shell" else None
        return self.run("\n".join(commands if self.python else [*commands, last]), block.where)

    def write(self, block):
        """Write a file, or add lines to it."""
        name, is_added = FILE.match(block.text).groups()
        path = self.folder / name
        before = path.read_text(encoding="utf-8") if is_added else ""
        path.write_text(before + block.text, encoding="utf-8")

    def type_into_python(self, prompts):
        """Type prompts into the Python shell that the last command has opened, and close it."""
        typed = [(one.text, one.where, one.line - 1) for one in prompts]
        (self.folder.parent / "typed.py").write_text(TYPED.format(options=OPTIONS, blocks=typed), encoding="utf-8")
        self.run(f"{self.python} < ../typed.py", prompts[0].where)

    def run(self, commands, where):
        """Run commands in the shell; a `cd` or a variable stays for those that come later."""
        self.shell.stdin.write(f"{{\n:\n{commands}\n}} < /dev/null\nprintf '\\n%s %s\\n' '{END}' $?\n")
        self.shell.stdin.flush()
        printed = []
        while not (line := self.shell.stdout.readline()).startswith(END):
            if not line:
                raise DifferenceError(f"{where}: the shell has ended\n{''.join(printed)}")
            printed.append(line)
        if int(line.removeprefix(END)):
            raise DifferenceError(f"{where}: {commands}\nfails\n{''.join(printed)}")
        return "".join(printed)


def compare(block, printed):
    """Compare the output on a page with the one that the command before it has printed."""
    example, checker = doctest.Example("", block.text), doctest.OutputChecker()
    if not checker.check_output(block.text, printed, OPTIONS):
        raise DifferenceError(f"{block.where}: {checker.output_difference(example, printed, OPTIONS)}")
