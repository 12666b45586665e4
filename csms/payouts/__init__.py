"""Money to the owners: session reports, statements, payouts, and whether all three sides tell the same."""
