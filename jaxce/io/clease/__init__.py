"""Models of CLEASE."""
