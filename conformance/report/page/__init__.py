"""A verdict as one HTML file that needs no network, for somebody who looks."""
