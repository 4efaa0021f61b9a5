"""Aggregate and ranking functions, described for the operators that compute them."""
