"""HTTP for people and terminal clouds: receipts, callbacks, health."""
