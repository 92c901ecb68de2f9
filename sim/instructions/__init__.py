"""Instructions written from paths, and an oracle that follows what they say."""
