"""GEO-Bench v1.0: its twelve tasks as labelled data, read without trusting the files."""
