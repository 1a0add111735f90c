"""Tests of what README, docs and findings say."""
