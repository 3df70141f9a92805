"""Rehearsal: the real handlers of a choreography, run through many possible futures, each of which can be run again."""
