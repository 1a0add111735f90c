"""How far apart answers are, and whether that passes: pure; imports core, cases and oracle."""
