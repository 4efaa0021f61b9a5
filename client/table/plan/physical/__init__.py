"""From plans to transformations: which operators carry a plan out, and how rows reach them."""
