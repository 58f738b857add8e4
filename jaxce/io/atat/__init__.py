"""Models of ATAT."""
