"""Laws of initializers over all the words that they draw from, and whether they are right."""
