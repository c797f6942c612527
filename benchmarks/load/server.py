"""The server of the shop: waitress, with its usual four threads, on a free port that it prints."""

from config.wsgi import application
from waitress.server import create_server


def main() -> None:
    """Serve until the process is ended."""
    server = create_server(application, listen="127.0.0.1:0")
    print(server.effective_port, flush=True)
    server.run()


if __name__ == "__main__":
    main()
