"""What runs in the environment of another release; imports core, cases, store and observe."""
