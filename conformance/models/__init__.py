"""Whole models: how each parameter was made, and what it is used for, read from their programs."""
