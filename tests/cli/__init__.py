"""Tests of the command line and the plug-in."""
