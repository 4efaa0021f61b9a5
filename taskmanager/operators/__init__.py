"""One file an operator family."""
