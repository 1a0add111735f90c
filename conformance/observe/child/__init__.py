"""What runs in the environment of another release: no package beyond the recorder's."""
