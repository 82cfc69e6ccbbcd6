"""Labelled angiograms."""
