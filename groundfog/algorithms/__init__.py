"""Algorithms LEARN: plain libraries, importing nothing of ours. Only their `__main__` knows the treaty."""
