"""How a frozen model bears noise on its senses and faults of its chip."""
