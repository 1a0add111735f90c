"""How golden sets change: stage, review, accept, prune; imports all that is below run."""
