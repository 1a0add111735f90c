"""A run: observe, look up, judge, report; imports all that is below, and neither CLI nor pytest."""
