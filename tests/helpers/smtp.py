"""A mail server in a thread of the test."""

import threading
from contextlib import contextmanager
from email import message_from_bytes, policy
from socketserver import StreamRequestHandler, ThreadingTCPServer

import django

BACKEND = "django.core.mail.backends.smtp.EmailBackend"


def send_to(settings, port):
    """Let the project send its mails to a server on this machine."""
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": BACKEND, "OPTIONS": {"host": "127.0.0.1", "port": port}}}
    else:
        settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = BACKEND, "127.0.0.1", port


class _Session(StreamRequestHandler):
    """One connection: each command gets one answer."""

    def handle(self):
        self.reply("220 test")
        for line in iter(self.rfile.readline, b""):
            command = line.decode().strip()
            verb = command.upper()
            if verb == "DATA":
                self.receive()
            elif verb == "QUIT":
                return self.reply("221 bye")
            else:
                self.reply(self.server.mails.answers.get(command, "250 ok"))

    def receive(self):
        self.reply("354 go on")
        lines = [*iter(self.rfile.readline, b".\r\n")]
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        self.reply(self.server.mails.accept(mail))

    def reply(self, line):
        self.wfile.write(f"{line}\r\n".encode())


class Mails(list):
    """The mails that a server has accepted, and what it answers."""

    def __init__(self):
        super().__init__()
        self.answers = {}  # by command, where it is not "250 ok"
        self.of_data = "250 ok"
        self.on_mail = lambda: None  # called when the server has a mail, and before it says so

    def accept(self, mail):
        if self.of_data == "250 ok":
            self.append(mail)
        self.on_mail()
        return self.of_data

    def refuse(self, address, answer):
        """Answer this about an address."""
        self.answers[f"RCPT TO:<{address}>"] = answer
        self.answers[f"rcpt TO:<{address}>"] = answer


@contextmanager
def mail_server():
    """Run a server: yields its mails and its port."""
    ThreadingTCPServer.allow_reuse_address = True
    with ThreadingTCPServer(("127.0.0.1", 0), _Session) as server:
        server.daemon_threads = True
        server.mails = Mails()
        thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
        thread.start()
        try:
            yield server.mails, server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
