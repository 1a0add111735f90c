"""What a device answers: backends, recordings, sweeps; imports JAX, core, cases and store."""
