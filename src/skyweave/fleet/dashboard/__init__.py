"""The live page of a fleet: what it shows, and the server that it comes from."""
