"""What devices that nobody has here would return: programs compiled ahead of time, emulated PTX."""
