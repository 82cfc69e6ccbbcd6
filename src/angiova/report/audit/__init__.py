"""Auditing a run, ours or somebody else's: what it states is computed again, and contradictions are named."""
