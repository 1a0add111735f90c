"""A vendor's backend: an Acme draws on the CPU, and rounds one normal in eight the other way."""

from __future__ import annotations

from conformance.cases.backends import BackendSpec, Offer

BACKEND = BackendSpec(
    name="acme",
    open="acme_device:AcmeBackend",
    offer=Offer(transforms=("eager", "jit"), reason="its driver knows nothing else"),
    hint="pip install acme-conformance, on an Acme host",
    resource="ACME",
    facts="acme_device:facts",
)
