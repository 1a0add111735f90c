"""What was answered before: golden sets, recordings and budgets on disk; imports core."""
