# SPDX-License-Identifier: Apache-2.0
"""What happens in a scene: bodies are struck, pushed, dropped, thrown, toppled and stacked."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from groundmore_ros.simulation.world import FIELD_HALF, Action, Body

__all__ = ["StoryTeller"]

Array = NDArray[np.float64]


class StoryTeller:
    """Draws what happens: strikes, slides, drops, throws, falls, stacks, entrances."""

    def __init__(self, rng: Generator, bodies: list[Body], duration: float, table: bool) -> None:
        self.rng = rng
        self.bodies = bodies
        self.duration = duration
        self.table = table
        self.actions: list[Action] = []
        self.stacked: dict[int, int] = {}
        self.free = [int(k) for k in rng.permutation(len(bodies))]
        self.moved: set[int] = set()

    def build(self) -> None:
        """Draw two to four stories and their times."""
        rng = self.rng
        count = len(self.bodies)
        low = 1 if count == 3 else 2
        stories = int(rng.integers(low, max(low + 1, min(4, count - 1) + 1)))
        slots = np.linspace(0.15, 0.62 * self.duration, stories)
        times = rng.permutation(slots + rng.uniform(-0.1, 0.1, stories))
        # A strike comes first in most episodes: causes and counterfactuals need contacts.
        kinds = ["strike"] if rng.random() < 0.85 else []
        menu = ["strike", "slide", "drop", "throw", "topple", "stack", "enter"]
        weights = [0.42, 0.13, 0.11, 0.07, 0.09, 0.12, 0.06]
        while len(kinds) < stories:
            kinds.append(str(rng.choice(menu, p=weights)))
        for kind, time in zip(kinds, times, strict=True):
            getattr(self, f"_{kind}")(max(0.05, float(time)))

    def keep(self) -> int | None:
        """A body that no story will use."""
        return self.free.pop() if self.free else None

    def _take(self, wanted: tuple[str, ...] = ()) -> int | None:
        """An unused body, of a wanted shape if there is one."""
        for k in self.free:
            if not wanted or self.bodies[k].shape in wanted:
                self.free.remove(k)
                self.moved.add(k)
                return k
        return None

    def _direction(self, body: int, target: int) -> Array:
        a, b = self.bodies[body].position, self.bodies[target].position
        step = np.array([b[0] - a[0], b[1] - a[1]])
        return step / max(float(np.hypot(*step)), 1e-6)

    def _push(self, body: int, time: float, direction: Array, speed: float, up: float = 0) -> None:
        velocity = (float(direction[0] * speed), float(direction[1] * speed), up)
        self.actions.append(Action("throw" if up else "push", body, time, velocity))

    def _speed_to_reach(self, body: int, distance: float) -> float:
        """A speed at which a sliding body still moves well after this distance, m/s."""
        b = self.bodies[body]
        loss = 0.1 if b.shape == "ball" else 2 * 9.81 * b.friction * distance
        return float(np.sqrt(loss + self.rng.uniform(0.55, 1.1) ** 2))

    def _nearest(self, body: int) -> int | None:
        """The unmoved body that a push along the ground reaches first, or nothing."""
        here = np.array(self.bodies[body].position[:2])
        others = [k for k in self.free if k not in self.stacked]
        if not others:
            return None
        gaps = [float(np.hypot(*(np.array(self.bodies[k].position[:2]) - here))) for k in others]
        return others[int(np.argmin(gaps))]

    def _strike(self, time: float) -> None:
        body = self._take()
        target = None if body is None else self._nearest(body)
        if body is None or target is None:
            return
        self.free.remove(target)  # kept for being struck
        direction = self._direction(body, target)
        gap = float(
            np.hypot(*(np.array(self.bodies[target].position) - self.bodies[body].position)[:2])
        )
        reach = max(0.0, gap - self.bodies[target].radius - self.bodies[body].radius)
        self._push(body, time, direction, self._speed_to_reach(body, reach))
        if self.free and self.rng.random() < 0.35:  # a third body behind the second: a chain
            third = self.free.pop(0)
            far = self.bodies[target].radius + self.bodies[third].radius + 0.04
            x, y = np.array(self.bodies[target].position[:2]) + direction * far
            if self._clear(third, float(x), float(y)):
                self.bodies[third] = self.bodies[third].at(x, y, self.bodies[third].position[2])
            else:
                self.free.append(third)

    def _clear(self, body: int, x: float, y: float) -> bool:
        if abs(x) > FIELD_HALF[0] + 0.08 or abs(y) > FIELD_HALF[1] + 0.08:
            return False
        return all(
            np.hypot(x - b.position[0], y - b.position[1]) > b.radius + self.bodies[body].radius
            for k, b in enumerate(self.bodies)
            if k != body
        )

    def _slide(self, time: float) -> None:
        body = self._take()
        if body is not None:
            angle = self.rng.uniform(0, 2 * np.pi)
            direction = np.array([np.cos(angle), np.sin(angle)])
            self._push(body, time, direction, float(self.rng.uniform(0.35, 0.9)))

    def _drop(self, time: float) -> None:
        body = self._take()
        if body is not None:
            x, y, z = self.bodies[body].position
            height = z + float(self.rng.uniform(0.15, 0.32))
            self.bodies[body] = self.bodies[body].at(x, y, height)
            self.actions.append(Action("drop", body, time))

    def _throw(self, time: float) -> None:
        body = self._take()
        if body is not None:
            angle = self.rng.uniform(0, 2 * np.pi)
            direction = np.array([np.cos(angle), np.sin(angle)])
            self._push(
                body,
                time,
                direction,
                float(self.rng.uniform(0.2, 0.6)),
                up=float(self.rng.uniform(1.4, 2.2)),
            )

    def _topple(self, time: float) -> None:
        body = self._take(("pillar",))
        if body is None:
            self._slide(time)
            return
        angle = self.rng.uniform(0, 2 * np.pi)
        push = self.rng.uniform(0.9, 1.4)
        velocity = (float(np.cos(angle) * push), float(np.sin(angle) * push), 0.0)
        self.actions.append(Action("topple", body, time, velocity))

    def _stack(self, time: float) -> None:
        base = self._take(("cube", "brick", "cylinder", "disc"))
        rider = None if base is None else self._take()
        if base is None or rider is None or self.bodies[rider].shape == "ball":
            self._slide(time)
            return
        below, above = self.bodies[base], self.bodies[rider]
        top = below.half_extents[2] * 2 + above.half_extents[2]
        self.bodies[rider] = above.at(below.position[0], below.position[1], top)
        self.stacked[rider] = base
        mover = base if self.rng.random() < 0.65 else rider
        self.moved.discard(rider if mover == base else base)
        angle = self.rng.uniform(0, 2 * np.pi)
        direction = np.array([np.cos(angle), np.sin(angle)])
        self._push(mover, time, direction, float(self.rng.uniform(0.6, 1.2)))

    def _enter(self, time: float) -> None:
        body = self._take(("ball", "disc", "cube"))
        if body is None or self.table:
            if body is not None:
                self.free.append(body)
            self._slide(time)
            return
        side = float(self.rng.choice([-1.0, 1.0]))
        y = float(self.rng.uniform(-0.15, 0.2))
        shape = self.bodies[body]
        self.bodies[body] = shape.at(side * 0.85, y, shape.position[2])
        aim = np.array([-side * 0.1, float(self.rng.uniform(-0.2, 0.2))])
        direction = aim - np.array([side * 0.85, y])
        direction /= np.hypot(*direction)
        speed = self._speed_to_reach(body, 0.55)
        self._push(body, time, direction, min(speed, 2.6))
