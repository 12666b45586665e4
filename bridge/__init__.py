"""The bridge talks to terminals: the terminal port and its Payter adapter."""
