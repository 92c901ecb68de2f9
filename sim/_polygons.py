"""Convex polygons of at most six corners out of regions' outlines, cut and joined in Recast's order, so that the polygons are the same.

Coordinates are integers; outlines run clockwise seen with x to the right and z up. Rules: Recast's published description of polygon
meshes (ears with the shortest diagonal first, then the longest shared edges removed; holes joined to their outline by a bridge).
"""

from __future__ import annotations

from collections.abc import Sequence

from sim._contours import Contour, Point

MAX_CORNERS = 6  # verts_per_poly


def _side(a: Point, b: Point, c: Point) -> int:
    """Twice the signed area of a b c: below 0 when c lies to the left, in Recast's sense."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])


def _between(a: Point, b: Point, c: Point) -> bool:
    """Whether c, on the line through a and b, lies on the segment."""
    axis = 0 if a[0] != b[0] else 1
    return min(a[axis], b[axis]) <= c[axis] <= max(a[axis], b[axis])


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether segments a b and c d meet."""
    abc, abd, cda, cdb = _side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)
    if abc and abd and cda and cdb:
        return (abc < 0) != (abd < 0) and (cda < 0) != (cdb < 0)
    return (
        (not abc and _between(a, b, c))
        or (not abd and _between(a, b, d))
        or (not cda and _between(c, d, a))
        or (not cdb and _between(c, d, b))
    )


def _in_cone(before: Point, at: Point, after: Point, to: Point) -> bool:
    """Whether the way from the corner `at` towards `to` starts inside the outline."""
    if _side(before, at, after) <= 0:
        return _side(at, to, before) < 0 and _side(to, at, after) < 0
    return not (_side(at, to, after) <= 0 and _side(to, at, before) <= 0)


def _clear(a: Point, b: Point, ring: Sequence[Point], skip: int = -1) -> bool:
    """Whether a b meets no edge of the ring, but for edges that share an end with it or have the corner number `skip`."""
    count = len(ring)
    low_x, high_x = (a[0], b[0]) if a[0] < b[0] else (b[0], a[0])
    low_z, high_z = (a[1], b[1]) if a[1] < b[1] else (b[1], a[1])
    p = ring[-1]
    for index, q in enumerate(ring):
        start, p = p, q
        if (start[0] < low_x and q[0] < low_x) or (start[0] > high_x and q[0] > high_x):
            continue
        if (start[1] < low_z and q[1] < low_z) or (start[1] > high_z and q[1] > high_z):
            continue
        if start in (a, b) or q in (a, b) or skip in (index, (index - 1) % count):
            continue
        if _cross(a, b, start, q):
            return False
    return True


def _bridge(outline: list[Point], hole: Sequence[Point], rest: Sequence[Sequence[Point]]) -> list[Point]:
    """The outline with the hole joined to it by the shortest bridge that crosses nothing; unchanged when there is none."""
    first = hole.index(min(hole))
    for turn in range(len(hole)):
        at = (first + turn) % len(hole)
        corner = hole[at]
        ways = [
            ((point[0] - corner[0]) ** 2 + (point[1] - corner[1]) ** 2, index)
            for index, point in enumerate(outline)
            if _in_cone(outline[index - 1], point, outline[(index + 1) % len(outline)], corner)
        ]
        for _, index in sorted(ways):
            if _clear(outline[index], corner, outline, index) and all(_clear(outline[index], corner, other) for other in rest):
                around = outline[index:] + outline[: index + 1]
                return around + list(hole[at:]) + list(hole[: at + 1])
    return outline


def _with_holes(outline: Sequence[Point], holes: Sequence[Sequence[Point]]) -> list[Point]:
    ring, left = list(outline), sorted(holes, key=min)
    for index, hole in enumerate(left):
        ring = _bridge(ring, hole, left[index:])
    return ring


def _triangles(ring: list[Point]) -> list[tuple[Point, ...]]:
    """Ears of a closed ring, the one with the shortest diagonal first. A ring that can't be cut to the end gives what was cut."""

    def is_ear(index: int) -> bool:
        count = len(ring)
        a, b = (index - 1) % count, (index + 1) % count
        p, q = ring[a], ring[b]
        return _in_cone(ring[a - 1], p, ring[index], q) and _in_cone(ring[index], q, ring[(b + 1) % count], p) and _clear(p, q, ring)

    ring = list(ring)
    ears = [is_ear(index) for index in range(len(ring))]
    cut = []
    while len(ring) > 3:
        count = len(ring)
        # Recast looks at the corner before an ear: the order of ties hangs on it
        found = [
            ((ring[i][0] - ring[(i + 2) % count][0]) ** 2 + (ring[i][1] - ring[(i + 2) % count][1]) ** 2, i)
            for i in range(count)
            if ears[(i + 1) % count]
        ]
        if not found:
            return cut
        before = min(found)[1]
        at = (before + 1) % count
        cut.append((ring[before], ring[at], ring[(before + 2) % count]))
        del ring[at], ears[at]
        after = at % len(ring)
        for index in ((after - 1) % len(ring), after):
            ears[index] = is_ear(index)
    return [*cut, tuple(ring)]


def _merge_value(a: tuple[Point, ...], b: tuple[Point, ...]) -> tuple[int, int, int]:
    """Squared length of the edge that two polygons share and its place in both, when they are convex together; else -1."""
    if len(a) + len(b) - 2 > MAX_CORNERS:
        return -1, 0, 0
    i, j = next(((i, j) for i in range(len(a)) for j in range(len(b)) if a[i - 1] == b[j] and a[i] == b[j - 1]), (-1, -1))
    if i < 0:
        return -1, 0, 0
    i, j = (i - 1) % len(a), (j - 1) % len(b)  # the edges a[i] a[i + 1] and b[j] b[j + 1]
    if _side(a[i - 1], a[i], b[(j + 2) % len(b)]) >= 0 or _side(b[j - 1], b[j], a[(i + 2) % len(a)]) >= 0:
        return -1, 0, 0
    other = a[(i + 1) % len(a)]
    return (a[i][0] - other[0]) ** 2 + (a[i][1] - other[1]) ** 2, i, j


def _merged(polygons: list[tuple[Point, ...]]) -> list[tuple[Point, ...]]:
    """Neighbours joined over the longest shared edge first, while they stay convex."""
    polygons = list(polygons)
    values = {(m, n): _merge_value(polygons[m], polygons[n]) for n in range(len(polygons)) for m in range(n)}
    while True:
        best, m, n = max(((value[0], -m, -n) for (m, n), value in values.items()), default=(0, 0, 0))
        if best <= 0:
            return polygons
        m, n, last = -m, -n, len(polygons) - 1
        _, i, j = values[m, n]
        a, b = polygons[m], polygons[n]
        polygons[m] = tuple(a[(i + 1 + k) % len(a)] for k in range(len(a) - 1)) + tuple(b[(j + 1 + k) % len(b)] for k in range(len(b) - 1))
        polygons[n] = polygons[last]  # Recast moves the last one into the gap
        polygons.pop()
        values = {pair: value for pair, value in values.items() if not {m, n, last} & set(pair)}
        for changed in {m, n} - {last}:
            for other in range(last):
                if other != changed:
                    pair = (min(changed, other), max(changed, other))
                    values[pair] = _merge_value(polygons[pair[0]], polygons[pair[1]])


def polygons(contours: list[Contour]) -> list[tuple[Point, ...]]:
    """Convex polygons of all outlines, clockwise as they are. Holes belong to the outline of their region."""
    found = []
    holes = [contour for contour in contours if contour.is_hole]
    for outline in contours:
        if outline not in holes:
            own = [hole.points for hole in holes if hole.region == outline.region]
            ears = [ear for ear in _triangles(_with_holes(outline.points, own)) if len(set(ear)) == 3]
            found += _merged(ears)
    return found
