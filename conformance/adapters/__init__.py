"""Initializers of other libraries, registered as a user would: a module each, for `pytest -p`.

    pytest --pyargs conformance -p conformance.adapters.haiku --initializer 'haiku_*'

What each says of a library is what its documentation and source promise, never what was seen.
"""
