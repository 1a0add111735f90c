"""The checks: pure functions of the evidence on one case. `judge.rules` says which there are."""
