"""The process that keeps a host alive, and the one that keeps its network: programs, run by their path."""
