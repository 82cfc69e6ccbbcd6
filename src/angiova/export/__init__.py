"""Masks and pictures for people and for other programs."""
