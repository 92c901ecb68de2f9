"""Writes a house as binary glTF 2.0: a node per thing, embedded PNG textures, double-sided unlit materials, vertex colours.

The vertex colours hold the renderer's baked light, and the numbers that it multiplies sRGB textures with: that is what Habitat does with them too.
glTF means them to be linear, so a viewer that keeps to it shows the tints paler.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sim.houses.house import House
from sim.renderer import shade

_FLOAT, _UINT32 = 5126, 5125  # glTF 2.0, 3.6.2.2: component types
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3"}
_UNLIT = "KHR_materials_unlit"


class _Document:
    """The JSON part and the binary part as they grow."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0
        self.views: list[dict[str, int]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        padded = data + b"\0" * (-len(data) % 4)
        self.views.append({"buffer": 0, "byteOffset": self.size, "byteLength": len(data)} | ({} if target is None else {"target": target}))
        self.chunks.append(padded)
        self.size += len(padded)
        return len(self.views) - 1

    def accessor(self, values: np.ndarray, bounds: bool = False) -> int:
        """float32 [N, k] or uint32 [N] -> accessor index."""
        indices = values.dtype == np.uint32
        accessor: dict[str, Any] = {
            "bufferView": self.view(values.tobytes(), _ELEMENT_BUFFER if indices else _ARRAY_BUFFER),
            "componentType": _UINT32 if indices else _FLOAT,
            "count": len(values),
            "type": _TYPES[1 if values.ndim == 1 else values.shape[1]],
        }
        if bounds:
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def _primitive(document: _Document, house: House, triangles: np.ndarray, layer: int) -> dict[str, Any]:
    mesh = house.mesh
    vertices, index = np.unique(triangles, return_inverse=True)
    attributes = {
        "POSITION": document.accessor(mesh.position[vertices], bounds=True),
        "NORMAL": document.accessor(mesh.normal[vertices]),
        "TEXCOORD_0": document.accessor(mesh.uv[vertices]),
        "COLOR_0": document.accessor(np.clip(mesh.colour[vertices] * shade(mesh.normal[vertices])[:, None], 0, 1).astype(np.float32)),
    }
    return {"attributes": attributes, "indices": document.accessor(index.reshape(-1).astype(np.uint32)), "material": layer}


def _materials(document: _Document, textures: np.ndarray) -> dict[str, Any]:
    images = []
    for texture in textures:
        _, png = cv2.imencode(".png", cv2.cvtColor(texture, cv2.COLOR_RGB2BGR))
        images.append({"bufferView": document.view(png.tobytes()), "mimeType": "image/png"})
    unlit = {"doubleSided": True, "extensions": {_UNLIT: {}}}
    materials = [
        unlit | {"pbrMetallicRoughness": {"baseColorTexture": {"index": i}, "metallicFactor": 0.0, "roughnessFactor": 1.0}}
        for i in range(len(images))
    ]
    sampler = {"magFilter": 9729, "minFilter": 9987, "wrapS": 10497, "wrapT": 10497}  # linear, trilinear, repeat
    return {
        "images": images,
        "materials": materials,
        "samplers": [sampler],
        "textures": [{"source": i, "sampler": 0} for i in range(len(images))],
    }


def write_glb(house: House, path: str | Path) -> None:
    """Write the house as .glb: +Y up, metres; node extras hold thing_id, category, colour, room_id. Same house, same bytes."""
    document = _Document()
    owner = house.mesh.thing[house.mesh.triangles[:, 0]]
    layer = house.mesh.texture[house.mesh.triangles[:, 0]]
    nodes, meshes = [], []
    for thing in house.things:
        mine = owner == thing.thing_id
        if not mine.any():
            continue
        primitives = [_primitive(document, house, house.mesh.triangles[mine & (layer == k)], int(k)) for k in np.unique(layer[mine])]
        name = f"{thing.category}_{thing.thing_id}"
        extras = {"thing_id": thing.thing_id, "category": thing.category, "colour": thing.colour, "room_id": thing.room_id}
        nodes.append({"name": name, "mesh": len(meshes), "extras": extras})
        meshes.append({"name": name, "primitives": primitives})
    looks = _materials(document, house.textures)
    root = {
        "asset": {"version": "2.0", "generator": "nvila-edge houses"},
        "extensionsUsed": [_UNLIT],
        "scene": 0,
        "scenes": [{"name": house.name, "nodes": list(range(len(nodes)))}],
        "nodes": nodes,
        "meshes": meshes,
        **looks,
        "accessors": document.accessors,
        "bufferViews": document.views,
        "buffers": [{"byteLength": document.size}],
    }
    text = json.dumps(root, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary = b"".join(document.chunks)
    header = struct.pack("<III", 0x46546C67, 2, 12 + 8 + len(text) + 8 + len(binary))  # "glTF", version 2
    Path(path).write_bytes(header + struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary)
