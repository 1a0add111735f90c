"""What is asked: initializers, tiers and selections; imports core, and JAX only to build one."""
