"""What a node needs, imported once for all that are forked from here (`skyweave.fleet.supervisor.process.start_process`)."""
