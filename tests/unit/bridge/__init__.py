"""The bridge, against a scripted cloud and a house in memory."""
