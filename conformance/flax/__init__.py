"""What Flax claims: layers, their parameters' keys, the guide's sentences, a user's model.

Observed here, and held to the checks of cases. Imports report, judge, observe and what is below;
Flax and JAX when a function is called. Keys are derived by `oracle.keys`, without either.
"""
