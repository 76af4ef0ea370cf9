"""Training: one loop, one step, any method."""
