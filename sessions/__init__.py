"""Sessions decide: facts in, one commit, commands out. Nothing here speaks a wire."""
