"""Display messages."""
