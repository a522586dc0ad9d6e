"""Search: from a source to its best targets, by one model or by several."""
