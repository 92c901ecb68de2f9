"""The learning set: roll-outs in the houses, recorded frame by frame and written in the layouts that trainers read."""
