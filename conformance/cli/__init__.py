"""The command line. Each command is one file of this folder, imported when it is called for."""

from conformance.cli.main import main as main
