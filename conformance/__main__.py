"""`python -m conformance`: the command line, where its script is not on the path."""

import sys

from conformance.cli import main

sys.exit(main())
