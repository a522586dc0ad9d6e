"""Joint n-grams: what people used for pronunciation before networks, as a second opinion beside one."""
