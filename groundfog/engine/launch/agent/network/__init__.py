"""The process that keeps the network of a host: a program, run by its path."""
