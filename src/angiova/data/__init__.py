"""Labelled frames: records, the manifest that holds them, and everything that makes or checks them."""
