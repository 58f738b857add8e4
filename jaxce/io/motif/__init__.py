"""Local-environment motif models."""
