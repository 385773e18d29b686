# SPDX-License-Identifier: Apache-2.0
"""Predicates: what may be asked about an episode, and what is then meant.

Each rule yields candidates: what is asked, about which named object, the target and the motion that
is meant. Whatever the events leave unclear yields none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.simulation.motion import Clarity, Motion, Segment
from groundmore_ros.simulation.world import TALL_SHAPES, Body, Prop

__all__ = ["Candidate", "Events", "candidates"]

ORDER_GAP = 0.25  # s, motions must begin (end) this far apart to be called earlier and later
FASTER, FARTHER = 1.35, 1.3  # ratios at which one object is clearly faster, or goes clearly farther
SIDEWAYS = (0.04, 0.10)  # m, at most this is not left/right/closer/away; at least this is
HEIGHT = (0.03, 0.08)  # m, likewise for drops and rises
TILT = (np.deg2rad(25), np.deg2rad(60))  # rad, likewise for falling over
NEAR = 0.05  # m, farther than this from a container's inside is clearly outside


@dataclass(frozen=True)
class Candidate:
    """Something that may be asked, with its answer.

    Attributes:
        predicate: what is asked, a key of the wordings.
        target: index of the body that is meant; None where none is.
        segment: its motion that is meant; None: the whole clip.
        named: index of the body that the question names.
    """

    predicate: str
    target: int | None
    segment: Segment | None = None
    named: int | None = None


@dataclass(frozen=True)
class Events:
    """What predicates read: who moved when and why.

    Attributes:
        motion: what the bodies did.
        bodies: K of them.
        props: what stands around them.
        stamps: (T,) of the frames, s.
        without: simulates again without a body and tells who then moves.
    """

    motion: Motion
    bodies: list[Body]
    props: list[Prop]
    stamps: NDArray[np.float64]
    without: Callable[[int], list[Clarity]]

    @property
    def movers(self) -> list[int]:
        """Bodies that clearly moved."""
        return [k for k, m in enumerate(self.motion.moved) if m is Clarity.YES]

    @property
    def clear(self) -> bool:
        """Whether no body's motion is unclear."""
        return Clarity.UNCLEAR not in self.motion.moved

    def onset(self, k: int) -> float:
        """When a mover began to move, s."""
        return self.motion.segments[k][0].start

    def in_order(self) -> list[int]:
        """The movers, by when they began."""
        return sorted(self.movers, key=self.onset)

    def whole_motion(self, k: int) -> Segment | None:
        """From the start of a body's first motion to the end of its last; None where it rests."""
        segments = self.motion.segments[k]
        return replace(segments[0], end=segments[-1].end) if segments else None


def candidates(events: Events) -> list[Candidate]:
    """All that may be asked, of every predicate."""
    return [c for rule in _RULES for c in rule(events)]


def _peak_segment(k: int, events: Events) -> Segment:
    return max(events.motion.segments[k], key=lambda s: s.peak)


def _extremes(events: Events) -> Iterator[Candidate]:
    """Fastest, slowest and farthest among at least two movers."""
    movers = events.movers
    if not events.clear or len(movers) < 2:
        return
    speed = sorted(movers, key=lambda k: events.motion.peak_speed[k])
    peak = events.motion.peak_speed
    if peak[speed[-1]] > FASTER * peak[speed[-2]]:
        yield Candidate("fastest", speed[-1], _peak_segment(speed[-1], events))
    if peak[speed[1]] > FASTER * peak[speed[0]]:
        yield Candidate("slowest", speed[0], _peak_segment(speed[0], events))
    away = np.linalg.norm(events.motion.shift, axis=1)
    order = sorted(movers, key=lambda k: away[k])
    if (
        away[order[-1]] > FARTHER * away[order[-2]]
        and events.motion.seen[:, order[-1]].mean() > 0.8
    ):
        yield Candidate("farthest", order[-1], events.whole_motion(order[-1]))


def _judge(values: NDArray[np.float64], bounds: tuple[float, float]) -> list[Clarity]:
    low, high = bounds
    return [
        Clarity.YES if v >= high else Clarity.NO if v <= low else Clarity.UNCLEAR for v in values
    ]


def _only(
    predicate: str, judged: list[Clarity], events: Events, *, none_too: bool = True
) -> Iterator[Candidate]:
    """The one object of which something is clearly so, or "nothing" where it is so of none."""
    if Clarity.UNCLEAR in judged:
        return
    yes = [k for k, c in enumerate(judged) if c is Clarity.YES]
    if len(yes) == 1 and events.motion.segments[yes[0]]:
        yield Candidate(predicate, yes[0], events.whole_motion(yes[0]))
    elif not yes and none_too:
        yield Candidate(predicate, None)


def _directions(events: Events) -> Iterator[Candidate]:
    shift = events.motion.shift
    for predicate, along in (
        ("left", -shift[:, 0]),
        ("right", shift[:, 0]),
        ("closer", -shift[:, 1]),
        ("away", shift[:, 1]),
    ):
        yield from _only(predicate, _judge(along, SIDEWAYS), events)


def _heights(events: Events) -> Iterator[Candidate]:
    upright = np.array([b.shape in TALL_SHAPES for b in events.bodies])
    # The centre of what falls over is lowered too, but few would say that it dropped.
    fell_over = upright & (events.motion.tilt > TILT[0]) & (events.motion.drop > HEIGHT[0])
    drops = _judge(events.motion.drop, HEIGHT)
    drops = [Clarity.UNCLEAR if f else d for f, d in zip(fell_over, drops, strict=True)]
    for prop in events.props:
        if prop.kind == "ramp" and prop.body is not None:  # it comes down, but does it drop?
            drops[prop.body] = Clarity.UNCLEAR
    yield from _only("drops", drops, events)
    yield from _only("rises", _judge(events.motion.rise, HEIGHT), events)
    yield from _only("topples", _judge(np.where(upright, events.motion.tilt, 0), TILT), events)


def _places(events: Events) -> Iterator[Candidate]:
    """What comes down a ramp, or lands in a container."""
    for prop in events.props:
        if prop.kind == "ramp" and prop.body is not None:
            k = prop.body
            if events.motion.moved[k] is Clarity.NO:
                yield Candidate("descends", None)
            elif events.motion.segments[k] and events.motion.drop[k] >= HEIGHT[1]:
                yield Candidate("descends", k, events.motion.segments[k][0])
        elif prop.kind == "container":
            landed = [_lands_in(prop, k, events) for k in range(len(events.bodies))]
            yield from _only("lands_in", landed, events)


def _lands_in(container: Prop, k: int, events: Events) -> Clarity:
    end = np.array(events.bodies[k].position) + events.motion.shift[k]
    off = float(np.abs(end[:2] - container.centre).max()) - container.reach
    if off >= NEAR or events.motion.moved[k] is Clarity.NO:
        return Clarity.NO
    low = end[2] < 2 * container.blocks[0].position[2] + events.bodies[k].half_extents[2]
    return Clarity.YES if off < 0 and low else Clarity.UNCLEAR


def _nothing_happens(events: Events) -> Iterator[Candidate]:
    if events.clear and not events.movers:
        for predicate in ("first", "last", "stops_last", "fastest", "farthest"):
            yield Candidate(predicate, None)


def _still(events: Events) -> Iterator[Candidate]:
    still = [k for k, m in enumerate(events.motion.moved) if m is Clarity.NO]
    if events.clear and len(still) == 1:
        yield Candidate("still", still[0])


def _passages(events: Events) -> Iterator[Candidate]:
    for predicate, flags in (("leaves", events.motion.leaves), ("enters", events.motion.enters)):
        if not events.motion.seen.any(axis=0).all():
            return
        judged = [Clarity.YES if f else Clarity.NO for f in flags]
        yield from _only(predicate, judged, events)


def _apart(times: list[float]) -> bool:
    return all(b - a >= ORDER_GAP for a, b in pairwise(times))


def _order(events: Events) -> Iterator[Candidate]:
    order = events.in_order()
    if not events.clear or len(order) < 2:
        return
    onsets = [events.onset(k) for k in order]
    first = {k: events.motion.segments[k][0] for k in order}
    if _apart(onsets[:2]):
        yield Candidate("first", order[0], first[order[0]])
    if _apart(onsets[-2:]):
        yield Candidate("last", order[-1], first[order[-1]])
        yield Candidate("after", None, named=order[-1])
    if len(order) > 2 and _apart(onsets[:3]):
        yield Candidate("second", order[1], first[order[1]])
    for i in range(len(order) - 1):
        if _apart(onsets[max(0, i - 1) : i + 3]):
            yield Candidate("after", order[i + 1], first[order[i + 1]], named=order[i])
            yield Candidate("before", order[i], first[order[i]], named=order[i + 1])
    if _apart(onsets[:2]):
        yield Candidate("before", None, named=order[0])


def _stops(events: Events) -> Iterator[Candidate]:
    movers = events.movers
    if not events.clear or len(movers) < 2:
        return
    ends = {k: events.motion.segments[k][-1].end for k in movers}
    order = sorted(movers, key=lambda k: ends[k])
    final = float(events.stamps[-1])
    if events.motion.leaves.any():
        return
    if ends[order[1]] - ends[order[0]] >= ORDER_GAP:
        yield Candidate("stops_first", order[0], events.motion.segments[order[0]][-1])
    if ends[order[-1]] - ends[order[-2]] >= ORDER_GAP or (
        ends[order[-1]] >= final - 0.05 and ends[order[-2]] < final - ORDER_GAP
    ):
        yield Candidate("stops_last", order[-1], events.motion.segments[order[-1]][-1])


def _causes(events: Events) -> Iterator[Candidate]:
    causes, movers = events.motion.causes, events.movers
    for k in movers:
        cause = causes[k]
        if cause == k:
            yield Candidate("cause", None, named=k)
        elif cause is not None:
            yield Candidate("cause", cause, _segment_at(cause, events.onset(k), events), named=k)
    if not events.clear or any(causes[k] is None for k in movers):
        return
    pushed = [k for k in movers if causes[k] != k]
    pushers = sorted({c for k in movers if (c := causes[k]) is not None and c != k})
    for k in movers:
        mine = [p for p in pushed if causes[p] == k]
        if not mine:
            yield Candidate("effect", None, named=k)
        elif len(mine) == 1:
            yield Candidate("effect", mine[0], events.motion.segments[mine[0]][0], named=k)
    if len(pushed) == 1:
        yield Candidate("pushed", pushed[0], events.motion.segments[pushed[0]][0])
    if len(pushers) == 1:
        onset = min(events.onset(k) for k in pushed)
        yield Candidate("pusher", pushers[0], _segment_at(pushers[0], onset, events))
    if not pushed and movers:
        yield Candidate("pusher", None)
        yield Candidate("pushed", None)


def _segment_at(k: int, time: float, events: Events) -> Segment:
    """The motion of a body that is going on at a time, or the closest one to it."""
    return min(
        events.motion.segments[k], key=lambda s: max(s.start - time, 0) + max(time - s.end, 0)
    )


def _removals(events: Events) -> Iterator[Candidate]:
    """What moves when a mover is taken away, by simulating without it."""
    movers = events.movers
    if not events.clear or len(movers) < 2:
        return
    order = events.in_order()
    speed = events.motion.peak_speed
    by_speed = sorted(movers, key=lambda k: speed[k])
    for k in movers:
        then = events.without(k)
        others = [o for o in movers if o != k]
        if any(then[o] is Clarity.UNCLEAR for o in range(len(then)) if o != k):
            continue
        stopped = [o for o in others if then[o] is Clarity.NO]
        going = [o for o in range(len(then)) if o != k and then[o] is Clarity.YES]
        names: list[tuple[str, str, int | None]] = [("without", "still_moves", k)]
        if k == order[0] and _apart([events.onset(o) for o in order[:2]]):
            names.append(("without_first", "first_still_moves", None))
        if k == by_speed[-1] and speed[k] > FASTER * speed[by_speed[-2]]:
            names.append(("without_fastest", "", None))
        for without, still, named in names:
            yield from _either(without, stopped, events, named)
            if still and set(going) <= set(others):
                yield from _either(still, going, events, named)


def _either(
    predicate: str, bodies: list[int], events: Events, named: int | None
) -> Iterator[Candidate]:
    if len(bodies) == 1:
        segment = events.motion.segments[bodies[0]][0]
        yield Candidate(predicate, bodies[0], segment, named=named)
    elif not bodies:
        yield Candidate(predicate, None, named=named)


_RULES: tuple[Callable[[Events], Iterator[Candidate]], ...] = (
    _extremes,
    _directions,
    _heights,
    _places,
    _nothing_happens,
    _still,
    _passages,
    _order,
    _stops,
    _causes,
    _removals,
)
