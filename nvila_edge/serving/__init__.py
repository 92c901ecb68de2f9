"""Inference as a service: wire format, server process and a light client (numpy, pyzmq, msgpack and cv2 only)."""
