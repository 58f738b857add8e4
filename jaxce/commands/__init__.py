"""What the commands of `jaxce` do; their flags are in `jaxce.cli`."""
