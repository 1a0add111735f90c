"""What each command takes, one file a command, as `conformance.cli.<command>` takes it.

Help, a wrong call and shell completion read these files alone, so they import nothing that takes
long: no NumPy, and none of what the commands do. `tests/cli/test_arguments.py` holds that.
"""
