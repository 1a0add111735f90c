"""The command line: parse, call what is below, print. Imports everything but the pytest front end.

Each command is one file of this folder, imported when it is called for.
"""

from conformance.cli.main import main as main
