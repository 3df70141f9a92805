"""What the project tests itself with, shipped for its users: a virtual clock, conformance suites."""
