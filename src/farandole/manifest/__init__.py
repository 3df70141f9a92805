"""Manifests: a choreography as AsyncAPI documents, out and in, and what changed between two of them. Pure."""
