"""`python -m jaxce` is `jaxce`."""

from jaxce.cli import main

main()
