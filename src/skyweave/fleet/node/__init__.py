"""One platform of a fleet: its peers, time synchronisation, rate control."""
