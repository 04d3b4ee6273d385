"""Data sets that were prepared: their tables, and their rows as training reads them."""
