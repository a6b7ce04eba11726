"""The command line. A command is `command_X.py` in the room it works for; `main` lists them."""

__all__: list[str] = []
