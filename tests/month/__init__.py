"""A generated month of card payments as three sides tell of it, with seeded faults: the same for the same seed."""
