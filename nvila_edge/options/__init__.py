"""What can be asked of the larger verbs: dataclasses whose docstrings are the help, read by the command line and by what does the work. Light to import."""
