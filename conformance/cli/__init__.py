"""The command line: parse, call what is below, print. Imports everything but the pytest front end.

Each command is one file of this folder, imported when it is called for.
"""

import sys

try:
    from conformance.cli.main import main as main
except KeyboardInterrupt:  # before `main` can say so
    print("conformance: interrupted", file=sys.stderr)
    sys.exit(130)
