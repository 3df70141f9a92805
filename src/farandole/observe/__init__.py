"""Observation: what happened, from envelopes and databases. It watches; nothing depends on it."""
