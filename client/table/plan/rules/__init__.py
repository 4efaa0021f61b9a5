"""Rules that rewrite logical plans, each a function from node to node."""
