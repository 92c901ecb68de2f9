"""SceneTalk: pictures of generated houses with things to say about them, a set for every training stage where nothing can be downloaded.

views.py looks, signs.py hangs words on walls, captions.py, questions.py, tours.py and walks.py talk, writer.py balances and writes.
"""
