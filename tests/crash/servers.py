"""Servers of our own, which can be stopped in the middle of what they do: the machine's serve others too."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from tests.crash import programs
from tests.crash.processes import until

_LOG = "server.log"
_OWN = {"HELIOGRAPH_CRASH_OWN_SERVER": "1"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server in a folder and on a port of its own, with nothing on disk that must last."""

    ready = ""  # what it says when it has started
    users = ()  # who may run it, if this is root, who may not

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="heliograph_server_"))
        self.port = free_port()
        self.process = None
        self.user = self._user()
        if self.user:
            shutil.chown(self.folder, self.user, pwd.getpwnam(self.user).pw_gid)
        self.make()
        self.start()

    def _user(self):
        if os.geteuid() or not self.users:
            return None
        known = {entry.pw_name for entry in pwd.getpwall()}
        return next(name for name in (*self.users, "nobody") if name in known)

    def make(self):
        """Make what it needs before it starts."""

    def start(self):
        began = len(self.log())
        self.process = self._popen(self.command())
        until(lambda: self._is_ready(began), lambda: f"a start of {self.process.args}\n{self.log()}")

    def _is_ready(self, began):
        """Whether it has said so; one that takes connections already may overlook a signal."""
        assert self.process.poll() is None, self.log()
        return self.ready in self.log()[began:]

    def command(self):
        raise NotImplementedError

    def kill(self):
        """Have it die as in a power cut, but for what the system has in its cache."""
        self.stop(signal.SIGKILL)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        until(lambda: self.process.poll() is not None, lambda: f"an end of {self.process.args}\n{self.log()}")

    def remove(self):
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        file = self.folder / _LOG
        return file.read_text(errors="replace") if file.exists() else ""

    def run(self, *command):
        done = self._popen(command)
        assert done.wait() == 0, self.log()

    def _popen(self, command):
        name, *arguments = map(str, command)
        group = pwd.getpwnam(self.user).pw_gid if self.user else None
        with (self.folder / _LOG).open("a") as log:
            return subprocess.Popen(
                [programs.program(name), *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self.user,
                group=group,
                extra_groups=[] if self.user else None,
            )


class PostgreSQL(Server):
    ready = "database system is ready to accept connections"
    users = ("postgres",)

    @property
    def data(self):
        return self.folder / "data"

    @property
    def variables(self):
        """The environment of a process of the project that is to use it."""
        return {**_OWN, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres", "PGPASSWORD": ""}

    @property
    def settings(self):
        return {"HOST": "127.0.0.1", "PORT": self.port, "USER": "postgres", "PASSWORD": ""}

    def make(self):
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def command(self):
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder, "fsync": "off"}
        given = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        return ["postgres", "-D", self.data, "-p", self.port, *given]

    def kill(self):
        """Have it die: it takes its processes along, which SIGKILL would leave behind."""
        self.stop(signal.SIGQUIT)

    def stop(self, number=signal.SIGINT):
        super().stop(number)


class MariaDB(Server):
    ready = "ready for connections"
    users = ("mysql",)

    @property
    def data(self):
        return self.folder / "data"

    @property
    def variables(self):
        return {
            **_OWN,
            "MYSQL_HOST": "127.0.0.1",
            "MYSQL_TCP_PORT": str(self.port),
            "MYSQL_USER": "root",
            "MYSQL_PWD": "",
        }

    @property
    def settings(self):
        return {"HOST": "127.0.0.1", "PORT": self.port, "USER": "root", "PASSWORD": ""}

    def make(self):
        options = ["--auth-root-authentication-method=normal", "--skip-test-db", f"--datadir={self.data}"]
        self.run("mariadb-install-db", "--no-defaults", *options)

    def command(self):
        return [
            *("mariadbd", "--no-defaults", f"--datadir={self.data}", f"--port={self.port}"),
            *(f"--socket={self.folder / 'socket'}", "--bind-address=127.0.0.1", f"--pid-file={self.folder / 'pid'}"),
            *("--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=32M", "--character-set-server=utf8mb4"),
        ]


class Redis(Server):
    """A broker that forgets everything when it stops."""

    ready = "Ready to accept connections"

    def command(self):
        return ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]


def of_a_database(vendor):
    """Return a server of this kind, started."""
    return {"postgresql": PostgreSQL, "mysql": MariaDB}[vendor]()
