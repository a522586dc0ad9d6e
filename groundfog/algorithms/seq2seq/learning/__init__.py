"""Learning: the loop, its optimizers and checkpoints, one process or several, and what it tells."""
