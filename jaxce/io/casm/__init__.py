"""Models of CASM."""
