"""How golden sets change: stage, review, accept, prune; imports judge, observe and below."""
