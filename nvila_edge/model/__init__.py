"""NVILA in PyTorch: the reference that every engine must equal."""
