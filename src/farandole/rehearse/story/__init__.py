"""The story of a rehearsal: what happened, so that a tired person understands it in a minute."""
