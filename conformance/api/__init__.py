"""What a program or a notebook calls: thin over the stages, and answers that show themselves.

Everybody imports them from `conformance` itself, which loads them when they are first asked for.
"""
