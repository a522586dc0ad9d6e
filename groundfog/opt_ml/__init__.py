"""THE TREATY between a job and whoever runs it: one documented directory, `/opt/ml`. Imports nothing of ours."""
