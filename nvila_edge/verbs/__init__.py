"""What the command line can do: a module per verb, a frozen dataclass of its options with run(). Heavy imports happen inside run()."""
