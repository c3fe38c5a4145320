"""The program's one way in: `openbell`, or `python -m app`.

The trap is a door that is heavy to open: it imports the words, never what stands behind them.
"""

from app.cli import app


def main() -> None:
    """Run the command line; it ends the process with the exit code of conventions."""
    app(prog_name="openbell")


if __name__ == "__main__":
    main()
