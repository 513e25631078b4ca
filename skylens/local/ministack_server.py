"""ministack's server, for programs only; run by ``emulators``."""

from ministack import app

from skylens.local import no_pages


def main() -> None:
    app.app = no_pages.asgi(app.app)
    app.main()


if __name__ == "__main__":
    main()
