"""Training, models and endpoints: one file for each noun of the API reference."""
