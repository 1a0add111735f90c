"""Initializers of other libraries, registered as a user would: a module each, for `pytest -p`.

    pytest --pyargs conformance -p conformance.adapters.haiku --initializer 'haiku_*'

What each says of a library is what its documentation and source promise, never what was seen.
"""

from conformance.core.laws import Refusal


def is_no_matrix(shape: tuple[int, ...]) -> bool:
    """Return whether the shape has too few axes for a matrix."""
    return len(shape) < 2


MATRIX_REFUSALS = (
    Refusal(exception="ValueError", shapes=is_no_matrix),
    Refusal(exception="TypeError", dtypes=("bfloat16", "float16")),  # XLA has no QR in 16 bits
)
"""Of orthogonal matrices, in Haiku and in Keras."""
