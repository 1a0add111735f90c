"""A NumPy emulator of the PTX that XLA compiles initializers to: a GPU's bits, on a CPU.

The subset is what these kernels use: one thread an element, IEEE operations with their rounding
written in the opcode, integer arithmetic, branches, global memory. Everything outside it is refused
by name. Four instructions have several permitted results; predictions then are intervals.
"""

from conformance.predict.ptx.chain import Chain as Chain
from conformance.predict.ptx.chain import Link as Link
from conformance.predict.ptx.chain import Prediction as Prediction
from conformance.predict.ptx.errors import PtxError as PtxError
from conformance.predict.ptx.errors import UnsupportedPtx as UnsupportedPtx
from conformance.predict.ptx.parser import Kernel as Kernel
from conformance.predict.ptx.parser import parse as parse
from conformance.predict.ptx.program import Program as Program
from conformance.predict.ptx.program import entry as entry
from conformance.predict.ptx.program import load as load
