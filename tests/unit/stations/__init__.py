"""The nouns of `csms.stations`, their pure parts."""
