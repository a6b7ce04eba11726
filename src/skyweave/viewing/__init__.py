"""Looking at recordings: a contact sheet that needs NumPy and Pillow only, and a Rerun file."""
