"""The commands: parse, call the Python API, print. Only typer is imported at the top."""
