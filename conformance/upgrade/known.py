"""What is known of releases beyond their metadata: one record for each thing that a release ended.

Whoever learns of another adds a record here; the needs go to the resolver, and all of them into
docs/jax-releases.md. What a release does to numbers is measured, not listed; see `survey`.
"""

from __future__ import annotations

import dataclasses
import enum


class Kind(enum.StrEnum):
    """What a fact is about."""

    NEEDS = "needs"
    DEFAULT = "default"
    EXCEPTION = "exception"
    ARITHMETIC = "arithmetic"
    INTERFACE = "interface"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What held of releases of `package` before `before`, and no longer of that one.

    fact: in words that follow `it`, the release. requirement: what the resolver is asked for, of
    NEEDS. setting: name and value of a DEFAULT then. handled: where this package takes it into
    account: modules, entries of the ledger.
    """

    kind: Kind
    package: str = "jax"
    before: str
    fact: str
    requirement: str = ""
    setting: tuple[str, str] | None = None
    handled: tuple[str, ...]


KNOWN = (
    *(
        Known(
            kind=Kind.NEEDS,
            package=package,
            before=before,
            requirement=requirement,
            fact=fact,
            handled=("conformance.upgrade.releases",),
        )
        for package, before, requirement, fact in (
            (
                *("jax", "0.4.26", "numpy<2"),
                "calls np.trapz and np.asarray as they were before NumPy 2",
            ),
            (
                *("jax", "0.4.24", "scipy<1.13"),
                "takes tril from scipy.linalg, where SciPy 1.13 no longer has it",
            ),
            (
                *("jax", "0.4.33", "flax<0.10.3"),
                "has no jax.sharding.AbstractMesh, which flax.nnx imports from 0.10.3 on",
            ),
            ("flax", "0.8.5", "jax<0.4.27", "imports jax.experimental.maps, which is gone"),
            ("flax", "0.10.3", "jax<0.4.36", "imports MainTrace from jax.core, which is gone"),
            (
                *("flax", "0.10.5", "jax<0.5.1"),
                "reads jax.core.get_opaque_trace_state, which is gone",
            ),
            (
                *("flax", "0.12.0", "jax<0.7"),
                "imports mutable_array from jax._src.core, which is gone",
            ),
            (
                *("flax", "0.12.1", "jax<0.8"),
                "imports mutable_array from jax._src.core, which is gone",
            ),
            ("flax", "0.12.7", "jax<0.9", "reads jax.core.Effect, which is gone"),
            ("flax", "0.12.9", "jax<0.11", "goes with it; newer pairs were not tried"),
        )
    ),
    Known(
        kind=Kind.INTERFACE,
        before="0.4.30",
        fact="has no jax.export, so that the cause of a drift cannot be proven by its programs",
        handled=("conformance.observe.child.exports",),
    ),
    Known(
        kind=Kind.INTERFACE,
        before="0.4.31",
        fact="counts an interpreter of XLA's as a platform",
        handled=("conformance.observe.jax_compat",),
    ),
    Known(
        kind=Kind.DEFAULT,
        before="0.5.0",
        fact="draws threefry2x32 in the layout of counters that cannot be partitioned",
        setting=("jax_threefry_partitionable", "False"),
        handled=("conformance.upgrade.defaults", "conformance.oracle.threefry"),
    ),
    Known(
        kind=Kind.INTERFACE,
        before="0.6.0",
        fact="imports absl to serialize an export",
        handled=("conformance.upgrade.probes",),
    ),
    Known(
        kind=Kind.INTERFACE,
        before="0.10.2",
        fact="takes no array of values for a constant together with out_sharding",
        handled=("constant-array-out-sharding-before-0.10.2",),
    ),
    Known(
        kind=Kind.EXCEPTION,
        before="0.11.1",
        fact="refuses orthogonal matrices in 16 and 8 bits by NotImplementedError, not TypeError",
        handled=(
            "orthogonal-low-precision",
            "orthogonal-low-precision-before-0.11.1",
            "orthogonal-float8",
            "orthogonal-float8-before-0.11.1",
        ),
    ),
    Known(
        kind=Kind.ARITHMETIC,
        before="0.11.1",
        fact="computes erf_inv of float64 to 22 ULP within two sigma, not to 5",
        handled=("erf-inv-float64-before-0.11.1",),
    ),
    Known(
        kind=Kind.ARITHMETIC,
        before="0.11.2",
        fact="divides by 0 where variance scaling is asked for an array without elements",
        handled=("variance-scaling-empty-before-0.11.2",),
    ),
    Known(
        kind=Kind.ARITHMETIC,
        before="0.12.0",
        fact="multiplies the quantile of a normal by sqrt(2), rounds, and then by stddev; not by "
        "their product",
        handled=(
            "normal-sequence-before-0.12-bfloat16",
            "normal-sequence-before-0.12-float16",
            "normal-roundings-before-0.12",
            "normal-roundings-before-0.12-float8",
        ),
    ),
)
"""Needs were found by importing releases beside the newest companions that their metadata allows,
and drawing from their initializers. The bounds of Flax are the newest JAX that was seen to work;
what came between was not tried. Of several bounds on one companion the tightest stands first."""

NEEDS = tuple(each for each in KNOWN if each.kind is Kind.NEEDS)
"""What the resolver is told."""
