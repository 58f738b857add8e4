"""Models of icet."""
