"""Temporary stand-in until the furniture package is importable: coloured boxes and plain textures. Removed by helper "houses"."""
import importlib, pathlib, sys, types
import numpy as np

HERE = pathlib.Path(__file__).parent
SIZES = {"sofa": (2.0, .85, .9), "armchair": (.85, .9, .85), "coffee table": (1.0, .42, .55), "dining table": (1.6, .75, .9), "chair": (.45, .9, .48), "bed": (1.6, .95, 2.0),
  "nightstand": (.45, .5, .4), "wardrobe": (1.5, 2.0, .6), "dresser": (1.1, .85, .48), "desk": (1.3, .75, .65), "office chair": (.6, 1.0, .6), "bookshelf": (.95, 1.9, .35),
  "television": (1.3, 1.2, .42), "fridge": (.7, 1.8, .68), "stove": (.6, .92, .62), "kitchen counter": (1.4, .92, .62), "kitchen island": (1.4, .92, .8), "washing machine": (.6, .87, .6),
  "toilet": (.4, .8, .68), "bathtub": (1.7, .58, .75), "shower": (.9, 2.0, .9), "washbasin": (.65, .9, .5), "plant": (.5, 1.2, .5), "floor lamp": (.4, 1.6, .4), "rug": (1.8, .01, 1.2),
  "painting": (.9, .65, .04), "mirror": (.6, 1.1, .04), "clock": (.36, .36, .05), "piano": (1.45, 1.2, .62), "fireplace": (1.3, 1.1, .4), "aquarium": (1.1, 1.2, .45), "vase": (.25, .4, .25),
  "pool table": (2.3, .85, 1.25), "treadmill": (.8, 1.3, 1.6), "exercise bike": (.55, 1.2, 1.1), "bicycle": (1.7, 1.0, .5), "crib": (1.3, .95, .75)}
try:
    import sim.houses.furniture
except ImportError:
    for k in [k for k in sys.modules if k.startswith("sim.houses.furniture")]:
        del sys.modules[k]
    pkg = types.ModuleType("sim.houses.furniture"); pkg.__path__ = [str(HERE / "furniture")]; sys.modules["sim.houses.furniture"] = pkg
    model = importlib.import_module("sim.houses.furniture.model"); pal = importlib.import_module("sim.houses.furniture.palette"); prim = importlib.import_module("sim.houses.furniture.primitives")
    pkg.COLOURS_OF, pkg.RGB = pal.COLOURS_OF, pal.RGB
    ready = {}
    for name in ("seating", "sleeping", "tables", "storage", "kitchen", "bathroom", "decor", "wall", "leisure"):
        try: ready.update(importlib.import_module(f"sim.houses.furniture.{name}").MODELS)
        except ImportError: pass
    def build_furniture(category, rng, family, colour):
        if category in ready:
            kit = pal.mixed_kit(rng, colour); shapes = ready[category][("train", "unseen").index(family)]; s = prim.Sketch()
            try: shapes[int(rng.integers(len(shapes)))](s, kit); return s.model()
            except AssertionError: pass
        w, h, d = SIZES.get(category, (.6, .9, .5)); s = prim.Sketch()
        s.taper((-w / 2, 0, -d / 2), (w / 2, h, d / 2), (1, 1), prim.Paint(pal.RGB[colour])); return s.model()
    pkg.build_furniture = build_furniture
try:
    import sim.houses.textures
except ImportError:
    tex = types.ModuleType("sim.houses.textures"); sys.modules["sim.houses.textures"] = tex
    def texture(name, size=128):
        c = {"f1": (170, 120, 80), "f2": (200, 200, 190), "f3": (120, 90, 70), "w1": (225, 215, 195), "w2": (190, 205, 215), "w3": (205, 220, 190)}.get(name, (200, 200, 200))
        t = np.tile(np.array(c, np.uint8), (size, size, 1)); t[::32] = t[::32] * 0.85; t[:, ::64] = t[:, ::64] * 0.85; return t
    tex.texture = texture
    tex.FLOOR_TEXTURES = {f: {"any": ("f1", "f2", "f3")} for f in ("train", "unseen")}; tex.WALL_TEXTURES = {f: {"any": ("w1", "w2", "w3")} for f in ("train", "unseen")}
