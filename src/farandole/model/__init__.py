"""The pure model: events, envelopes, reactions, services, choreographies. No I/O, no runtime, no SQLAlchemy."""
