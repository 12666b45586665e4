"""The payouts' pure parts."""
