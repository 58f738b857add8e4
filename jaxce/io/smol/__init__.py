"""Models of smol."""
