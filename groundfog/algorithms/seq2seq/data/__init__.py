"""What there is to learn from: text, tokens, vocabularies, records, batches."""
