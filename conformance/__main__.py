"""The program: `conformance`, and `python -m conformance` where its script is not on the path."""

import sys


def main() -> int:
    """Run the command line, and return its exit code; Ctrl-C counts from here on."""
    try:
        from conformance.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        print("conformance: interrupted", file=sys.stderr)  # noqa: T201  # nothing else will tell
        return 130  # ExitCode.INTERRUPTED, which may be what was being imported


if __name__ == "__main__":
    sys.exit(main())
