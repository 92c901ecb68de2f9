"""Draws a house on OpenGL (EGL; llvmpipe where there is no GPU): RGB, depth, thing ids, and the map from above.

Everything is one draw call. Light is baked into the vertex colours when a house is loaded, so a frame costs one matrix.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.geometry import Pose

if TYPE_CHECKING:
    import moderngl

    from sim.houses.house import House

CAMERA_HEIGHT_M = 1.25  # Habitat-Lab's default, kept by VLN-CE
CAMERA_PX, HFOV_DEG = 224, 90.0  # VLN-CE's camera: a square picture
NEAR_M, FAR_M = 0.04, 200.0  # the navmesh keeps the camera 0.10 m away from walls; corners of a 90 degree view are nearer
BACKGROUND = (0.55, 0.62, 0.70)

_VERTEX = """
#version 330
uniform mat4 world_to_clip;
in vec3 in_position;
in vec3 in_uv_layer;
in vec4 in_colour;
#ifdef IDS
in int in_thing;
flat out int thing;
#endif
out vec3 uv_layer;
out vec4 colour_depth;
void main() {
    gl_Position = world_to_clip * vec4(in_position, 1.0);
    uv_layer = in_uv_layer;
    colour_depth = vec4(in_colour.rgb, gl_Position.w);
#ifdef IDS
    thing = in_thing;
#endif
}
"""

_FRAGMENT = """
#version 330
uniform sampler2DArray textures;
in vec3 uv_layer;
in vec4 colour_depth;
layout(location = 0) out vec4 out_colour;
#ifdef IDS
flat in int thing;
layout(location = 1) out vec2 out_depth_thing;
#endif
void main() {
    float haze = max(1.0 - 0.02 * colour_depth.a, 0.6);  // farther is darker: the cue that flat light lacks
    out_colour = vec4(texture(textures, uv_layer).rgb * colour_depth.rgb * haze, 1.0);
#ifdef IDS
    out_depth_thing = vec2(colour_depth.a, float(thing));  // a float32 holds ids up to 2^24 exactly
#endif
}
"""


class RenderError(RuntimeError):
    """No picture could be drawn; the message names the mend."""


@dataclass(frozen=True)
class Observation:
    """rgb uint8 [H, W, 3]; depth_m float32 [H, W] along the optical axis, 0 where nothing is; thing int32 [H, W], 0 = void."""

    rgb: np.ndarray
    depth_m: np.ndarray
    thing: np.ndarray


@dataclass(frozen=True)
class MapTransform:
    """World to pixels of a top-down picture: x runs right, z runs down."""

    x_min_m: float
    z_min_m: float
    pixels_per_m: float

    def pixels(self, points_m: np.ndarray) -> np.ndarray:
        """World points [..., 3] in metres -> float [..., 2] as (column, row)."""
        points = np.asarray(points_m, dtype=np.float64)
        return np.stack([points[..., 0] - self.x_min_m, points[..., 2] - self.z_min_m], axis=-1) * self.pixels_per_m


def _open_context() -> moderngl.Context:
    """A standalone EGL context. llvmpipe draws in the calling thread: one process then fills one core and no more."""
    os.environ.setdefault("LP_NUM_THREADS", "0")
    import moderngl

    try:
        context = moderngl.create_context(standalone=True, backend="egl", require=330)  # type: ignore[arg-type]
    except Exception as error:  # glcontext raises bare Exception
        raise RenderError(
            f"no OpenGL context over EGL ({error}); install it with: apt-get install -y libegl1 libgl1 libgl1-mesa-dri"
        ) from error
    context.enable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
    context.front_face = "cw"  # the projection turns the image upside down, so that row 0 read back is the top
    return context


def shade(normal: np.ndarray) -> np.ndarray:
    """Baked brightness [V] of unit normals [V, 3]: one soft lamp, half-Lambert: every axis direction differs and none is dark."""
    return (0.84 + normal @ np.array([0.07, 0.10, 0.13])).astype(np.float32)


def _vertex_table(house: House) -> tuple[np.ndarray, np.ndarray, int]:
    """Distinct vertices (structured [V]), triangles [T, 3] with ceilings last, and how many triangles aren't ceiling."""
    mesh = house.mesh
    table = np.zeros(len(mesh.position), dtype=[("position", "<f4", 3), ("uv_layer", "<f4", 3), ("colour", "u1", 4), ("thing", "<i4")])
    table["position"] = mesh.position
    table["uv_layer"][:, :2] = mesh.uv
    table["uv_layer"][:, 2] = mesh.texture
    table["colour"][:, :3] = np.clip(mesh.colour * shade(mesh.normal)[:, None] * 255 + 0.5, 0, 255)
    table["thing"] = mesh.thing
    rows = table.view(np.dtype((np.void, table.dtype.itemsize)))
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")  # first use order: neighbours in the mesh stay neighbours in memory
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    triangles = rank[inverse.reshape(-1)][mesh.triangles]
    degenerate = (triangles[:, 0] == triangles[:, 1]) | (triangles[:, 1] == triangles[:, 2]) | (triangles[:, 0] == triangles[:, 2])
    ceiling_ids = [thing.thing_id for thing in house.things if thing.category == "ceiling"]
    ceiling = np.isin(mesh.thing[mesh.triangles[:, 0]], ceiling_ids)
    below, above = triangles[~degenerate & ~ceiling], triangles[~degenerate & ceiling]
    return table[first[order]], np.concatenate([below, above]).astype(np.int32), len(below)


class _Scene:
    """One house on the GPU."""

    def __init__(self, context: moderngl.Context, plain: moderngl.Program, ids: moderngl.Program, house: House) -> None:
        self.house = house
        vertices, triangles, self.below_ceiling = _vertex_table(house)
        self.bounds = house.mesh.position.min(axis=0), house.mesh.position.max(axis=0)
        layers, height, width, _ = house.textures.shape
        self.texture = context.texture_array((width, height, layers), 3, np.ascontiguousarray(house.textures), alignment=1)
        self.texture.build_mipmaps()  # also sets trilinear filtering
        self.texture.repeat_x = self.texture.repeat_y = True
        self.vertices = context.buffer(vertices.tobytes())
        self.triangles = context.buffer(triangles.tobytes())
        names = ("in_position", "in_uv_layer", "in_colour")
        self.plain = context.vertex_array(plain, [(self.vertices, "3f4 3f4 4f1 4x1", *names)], self.triangles)
        self.ids = context.vertex_array(ids, [(self.vertices, "3f4 3f4 4f1 1i4", *names, "in_thing")], self.triangles)

    def release(self) -> None:
        for resource in (self.plain, self.ids, self.vertices, self.triangles, self.texture):
            resource.release()


class Renderer:
    """A pinhole camera in one house at a time: pitch 0, 1.25 m above the feet, square pixels.

    Raises RenderError when no EGL context can be had, ValueError for a size or angle out of range.
    """

    def __init__(self, width: int = CAMERA_PX, height: int = CAMERA_PX, hfov_deg: float = HFOV_DEG) -> None:
        if not (1 <= width <= 4096 and 1 <= height <= 4096):
            raise ValueError(f"image size {width}x{height}: width and height must be 1 to 4096 pixels")
        if not 1.0 <= hfov_deg <= 170.0:
            raise ValueError(f"hfov_deg {hfov_deg}: must be 1 to 170 degrees")
        self.width, self.height, self.hfov_deg = width, height, hfov_deg
        self._context = _open_context()
        self._plain = self._program("")
        self._ids = self._program("#define IDS")
        size = (width, height)
        depth = self._context.depth_renderbuffer(size)
        colour = self._context.renderbuffer(size, 4)
        self._rgb_target = self._context.framebuffer([colour], depth)
        depth_thing = self._context.renderbuffer(size, 2, dtype="f4")
        self._depth_thing_target = self._context.framebuffer([depth_thing])
        self._all_target = self._context.framebuffer([colour, depth_thing], depth)
        self._scene: _Scene | None = None
        focal = 1.0 / math.tan(math.radians(hfov_deg) / 2)
        self._focal_x, self._focal_y = focal, focal * width / height

    def _program(self, define: str) -> moderngl.Program:
        vertex, fragment = (source.replace("#version 330", f"#version 330\n{define}", 1) for source in (_VERTEX, _FRAGMENT))
        return self._context.program(vertex, fragment_shader=fragment)

    def close(self) -> None:
        """Give all GL memory back; the renderer is unusable afterwards."""
        with self._context:
            if self._scene is not None:
                self._scene.release()
                self._scene = None
        self._context.release()

    def load(self, house: House) -> None:
        """Make `house` the scene that is drawn; the previous one is freed."""
        with self._context:
            if self._scene is not None:
                self._scene.release()
            self._scene = _Scene(self._context, self._plain, self._ids, house)
            self._scene.texture.use(0)

    def show(self, house: House) -> None:
        """`load`, unless this very house is loaded already."""
        if self._scene is None or self._scene.house is not house:
            self.load(house)

    def _require_scene(self) -> _Scene:
        if self._scene is None:
            raise RenderError("nothing to draw: call load(house) first")
        return self._scene

    def _world_to_clip(self, pose: Pose) -> bytes:
        """Column-major float32 [4, 4] of the camera at `pose`, with y upside down."""
        x, y, z = pose.position_m
        y += CAMERA_HEIGHT_M
        c, s = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
        right, forward = (c, 0.0, -s), (-s, 0.0, -c)
        fx, fy = self._focal_x, self._focal_y
        along_right, along_forward = c * x - s * z, -s * x - c * z
        a, b = (FAR_M + NEAR_M) / (FAR_M - NEAR_M), -2 * FAR_M * NEAR_M / (FAR_M - NEAR_M)
        rows = [
            [fx * right[0], 0.0, fx * right[2], -fx * along_right],
            [0.0, -fy, 0.0, fy * y],
            [a * forward[0], 0.0, a * forward[2], b - a * along_forward],
            [forward[0], 0.0, forward[2], -along_forward],
        ]
        return np.array(rows, dtype=np.float32).T.tobytes()

    def rgb(self, pose: Pose) -> np.ndarray:
        """What the camera sees: uint8 [H, W, 3]. Raises RenderError when no house is loaded."""
        scene = self._require_scene()
        with self._context:
            self._plain["world_to_clip"].write(self._world_to_clip(pose))  # type: ignore[union-attr]
            self._rgb_target.use()
            self._rgb_target.clear(*BACKGROUND)
            scene.plain.render()
            return _read_rgb(self._rgb_target)

    def observe(self, pose: Pose) -> Observation:
        """RGB, linear depth and thing ids of the same view. Raises RenderError when no house is loaded."""
        scene = self._require_scene()
        with self._context:
            self._ids["world_to_clip"].write(self._world_to_clip(pose))  # type: ignore[union-attr]
            self._rgb_target.clear(*BACKGROUND)
            self._depth_thing_target.clear(0.0, 0.0, 0.0, 0.0)
            self._all_target.use()
            scene.ids.render()
            depth_thing = np.empty((self.height, self.width, 2), dtype=np.float32)
            self._all_target.read_into(depth_thing, components=2, attachment=1, dtype="f4")
            rgb = _read_rgb(self._all_target)
        return Observation(rgb, np.ascontiguousarray(depth_thing[..., 0]), depth_thing[..., 1].astype(np.int32))

    def top_down(self, pixels_per_m: float = 40.0) -> tuple[np.ndarray, MapTransform]:
        """The house from straight above without its ceilings: uint8 [H, W, 3] and where world points lie in it.

        Raises ValueError when the picture would be larger than 4096 pixels a side, RenderError when no house is loaded.
        """
        scene = self._require_scene()
        low, high = scene.bounds
        width, height = (max(1, math.ceil((high[axis] - low[axis]) * pixels_per_m)) for axis in (0, 2))
        if not 0 < pixels_per_m or max(width, height) > 4096:
            raise ValueError(f"pixels_per_m {pixels_per_m}: gives {width}x{height} pixels; choose a value that keeps both below 4096")
        sides = (float(low[0]), float(low[2]), width / pixels_per_m, height / pixels_per_m)
        matrix = _orthographic(*sides, float(low[1]) - 1.0, float(high[1]) + 1.0)
        factor = 2 if max(width, height) <= 2048 else 1  # supersampled: thin things don't flicker
        size = (width * factor, height * factor)
        with self._context:
            colour, depth = self._context.renderbuffer(size, 4), self._context.depth_renderbuffer(size)
            target = self._context.framebuffer([colour], depth)
            self._plain["world_to_clip"].write(matrix)  # type: ignore[union-attr]
            target.use()
            target.clear(1.0, 1.0, 1.0)
            scene.plain.render(vertices=scene.below_ceiling * 3)
            image = _read_rgb(target)
            for resource in (target, colour, depth):
                resource.release()
        if factor == 2:
            image = (image.reshape(height, 2, width, 2, 3).astype(np.uint16).sum(axis=(1, 3)) // 4).astype(np.uint8)
        return image, MapTransform(sides[0], sides[1], pixels_per_m)


def _orthographic(x_m: float, z_m: float, width_m: float, height_m: float, low_m: float, high_m: float) -> bytes:
    """Column-major float32 [4, 4] that looks down -Y on the rectangle from (x, z); row 0 of the picture is the smallest z."""
    sx, sz, sy = 2 / width_m, 2 / height_m, -2 / (high_m - low_m)
    rows = [[sx, 0, 0, -1 - sx * x_m], [0, 0, sz, -1 - sz * z_m], [0, sy, 0, -1 - sy * high_m], [0, 0, 0, 1]]
    return np.array(rows, dtype=np.float32).T.tobytes()


def _read_rgb(target: moderngl.Framebuffer) -> np.ndarray:
    width, height = target.size
    image = np.empty((height, width, 3), dtype=np.uint8)
    target.read_into(image, components=3, alignment=1)
    return image
