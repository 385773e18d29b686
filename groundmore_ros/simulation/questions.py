# SPDX-License-Identifier: Apache-2.0
"""Questions with exact answers, from the facts of a simulated episode.

Each predicate yields candidates: what is asked, about which named object, the target and the motion
that is meant. Whatever the facts leave unclear yields none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from groundmore_ros.simulation.motion import Clarity, Motion, Segment
from groundmore_ros.simulation.rewording import look_name, reword
from groundmore_ros.simulation.settings import EpisodeSettings
from groundmore_ros.simulation.unrelated import unrelated
from groundmore_ros.simulation.wording import REFERRING, TEMPLATES, TYPE_OF
from groundmore_ros.simulation.world import TALL_SHAPES, Body, Prop, Scene

__all__ = ["MOTION_TYPES", "Question", "QuestionType", "ask"]

QuestionType = Literal["Causal", "Sequential", "Counterfactual", "Descriptive", "Referring"]
MOTION_TYPES: tuple[QuestionType, ...] = ("Causal", "Sequential", "Counterfactual", "Descriptive")

ORDER_GAP = 0.25  # s, motions must begin (end) this far apart to be called earlier and later
FASTER, FARTHER = 1.35, 1.3  # ratios at which one object is clearly faster, or goes clearly farther
SIDEWAYS = (0.04, 0.10)  # m, at most this is not left/right/closer/away; at least this is
HEIGHT = (0.03, 0.08)  # m, likewise for drops and rises
TILT = (np.deg2rad(25), np.deg2rad(60))  # rad, likewise for falling over
NEAR = 0.05  # m, farther than this from a container's inside is clearly outside
LEAST_SPAN = 3  # frames
SEEN_SHARE = 0.6  # of the span's frames in which the target must be seen
PLACE_NAMED = 0.12  # how often an object that can be is named by its place
# Share of the candidates kept that a trivial rule would get right; the others are all kept.
EASY_KEPT = 0.5
# Chance of each question after a type's first; contacts are rarer than motions, so without this the
# common types would crowd out the others.
MORE_SHARE: dict[str, float] = {"Causal": 0.4, "Descriptive": 0.4}


@dataclass(frozen=True)
class Question:
    """A question about an episode, with its answer.

    Attributes:
        text: as asked.
        type: one of the four motion types, or Referring.
        answer: "the red ball", or "nothing".
        target: object k as in the episode's object masks (1 is the first), or None.
        span: closed, s; None only where target is None.
        predicate: what is asked, a key of the wordings.
        named: the objects that the question names, numbered as target.
        name: the words it names them with.
    """

    text: str
    type: QuestionType
    answer: str
    target: int | None
    span: tuple[float, float] | None
    predicate: str
    named: tuple[int, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class _Candidate:
    predicate: str
    target: int | None  # body index
    segment: Segment | None = None  # the motion that is meant; None: the whole clip
    named: int | None = None  # body index


@dataclass(frozen=True)
class _Facts:
    """What predicates read."""

    motion: Motion
    bodies: list[Body]
    props: list[Prop]
    stamps: NDArray[np.float64]
    without: Callable[[int], list[Clarity]]

    @property
    def movers(self) -> list[int]:
        return [k for k, m in enumerate(self.motion.moved) if m is Clarity.YES]

    @property
    def clear(self) -> bool:
        """Whether no body's motion is unclear."""
        return Clarity.UNCLEAR not in self.motion.moved

    def onset(self, k: int) -> float:
        return self.motion.segments[k][0].start

    def in_order(self) -> list[int]:
        return sorted(self.movers, key=self.onset)


def ask(
    rng: Generator,
    more: Generator,
    scene: Scene,
    motion: Motion,
    stamps: NDArray[np.float64],
    settings: EpisodeSettings,
    without: Callable[[int], list[Clarity]],
) -> list[Question]:
    """Draw the questions of an episode.

    Args:
        rng: decides predicates, names and plain wordings.
        more: decides which questions are put in freer words, and what is asked that is not there.
        scene: the episode's.
        motion: what they did.
        stamps: (T,) s.
        settings: how many questions, and of which kinds.
        without: simulates again without a body and tells who then moves (without the body itself).
    """
    facts = _Facts(motion, scene.bodies, scene.props, stamps, without)
    # Where nothing happens there is nothing else to ask.
    none_share = settings.no_answer_share if scene.actions else 1.0
    found = [c for rule in _RULES for c in rule(facts)]
    usable = [c for c in found if c.target is None or _span(c, facts) is not None]
    questions: list[Question] = []
    for kind in MOTION_TYPES:
        mine = [c for c in usable if TYPE_OF[c.predicate] == kind]
        further = MORE_SHARE.get(kind, 1.0)
        most = 1 + int((rng.random(settings.questions_per_type - 1) < further).sum())
        for candidate in _choose(rng, mine, facts, most, none_share):
            question = _word(rng, candidate, facts)
            if question is not None:
                questions.append(question)
    questions += _referring(rng, facts, settings.referring_questions)
    # A generator for each question: other wordings do not change what else is drawn.
    own = more.spawn(len(questions) + 1)
    freer = [_rephrased(r, q, settings) for r, q in zip(own, questions, strict=False)]
    return freer + _unrelated(own[-1], scene.bodies, settings)


def _rephrased(rng: Generator, question: Question, settings: EpisodeSettings) -> Question:
    if rng.random() >= settings.rephrased_share:
        return question
    text = reword(rng, question.predicate, question.name, settings.wordings)
    return replace(question, text=text)


def _unrelated(rng: Generator, bodies: list[Body], settings: EpisodeSettings) -> list[Question]:
    looks = [(b.colour, b.shape) for b in bodies]
    texts = [
        unrelated(rng, looks, settings.wordings)[0]
        for _ in range(rng.integers(settings.unrelated_questions + 1))
    ]
    return [Question(t, "Referring", "nothing", None, None, "unrelated") for t in texts]


def _choose(
    rng: Generator, candidates: list[_Candidate], facts: _Facts, most: int, none_share: float
) -> list[_Candidate]:
    """Up to ``most`` candidates of different predicates, trivial ones thinned out."""
    chosen: list[_Candidate] = []
    answered = [
        c
        for c in candidates
        if c.target is not None and (not _easy(c, facts) or rng.random() < EASY_KEPT)
    ]
    unanswered = [c for c in candidates if c.target is None]
    for _ in range(most):
        pool = unanswered if rng.random() < none_share else answered
        used = {c.predicate for c in chosen}
        kinds = sorted({c.predicate for c in pool} - used)
        if kinds:
            kind = kinds[int(rng.integers(len(kinds)))]
            same = [c for c in pool if c.predicate == kind]
            chosen.append(same[int(rng.integers(len(same)))])
    return chosen


def _easy(candidate: _Candidate, facts: _Facts) -> bool:
    """Whether the fastest object that is not named, or the largest motion, is the answer."""
    speed = facts.motion.peak_speed.copy()
    if candidate.named is not None:
        speed[candidate.named] = -1
    path = facts.motion.image_path
    return candidate.target in (int(speed.argmax()), int(path.argmax()))


def _span(candidate: _Candidate, facts: _Facts) -> tuple[float, float] | None:
    """First to last frame of the motion; None where too little of it is to be seen."""
    stamps, target = facts.stamps, candidate.target
    if target is None:
        return None
    segment = candidate.segment
    if segment is None:
        active = np.ones(len(stamps), bool)
    else:
        active = (stamps >= segment.start) & (stamps <= segment.end)
    seen = facts.motion.seen[:, target]
    frames = np.flatnonzero(active & seen)
    if len(frames) < LEAST_SPAN:
        return None
    inside = slice(frames[0], frames[-1] + 1)
    if seen[inside].mean() < SEEN_SHARE or seen[active].mean() < SEEN_SHARE / 2:
        return None
    return float(stamps[frames[0]]), float(stamps[frames[-1]])


# --- names
# -----------------------------------------------------------------------------------------


def _full_name(body: Body) -> str:
    return f"the {body.colour} {body.shape}"


def _name(rng: Generator, k: int, facts: _Facts, *, plain: bool = False) -> str | None:
    """A phrase that only object k fits, or None where there is none."""
    looks = [(b.colour, b.shape) for b in facts.bodies]
    if looks.count(looks[k]) > 1:
        return None
    place = None if plain else _place_name(k, facts)
    if place and rng.random() < PLACE_NAMED:
        return place
    return look_name(rng, k, looks)


def _place_name(k: int, facts: _Facts) -> str | None:
    """The object that is leftmost (or rightmost) at the start, where that is clear."""
    if not facts.motion.seen[0].all():
        return None
    x = np.array([b.position[0] for b in facts.bodies])
    others = np.delete(x, k)
    if x[k] < others.min() - 0.08:
        return "the object that is leftmost at the start"
    if x[k] > others.max() + 0.08:
        return "the object that is rightmost at the start"
    return None


def _word(rng: Generator, candidate: _Candidate, facts: _Facts) -> Question | None:
    name = ""
    if candidate.named is not None:
        if not facts.motion.seen[:, candidate.named].mean() >= 0.3:
            return None
        name = _name(rng, candidate.named, facts) or ""
        if not name:
            return None
    template = str(rng.choice(TEMPLATES[candidate.predicate]))
    text = template.replace("{a}", name)
    target = candidate.target
    return Question(
        text=text[0].upper() + text[1:],
        type=TYPE_OF[candidate.predicate],  # type: ignore[arg-type]
        answer="nothing" if target is None else _full_name(facts.bodies[target]),
        target=None if target is None else target + 1,
        span=_span(candidate, facts),
        predicate=candidate.predicate,
        named=() if candidate.named is None else (candidate.named + 1,),
        name=name,
    )


def _referring(rng: Generator, facts: _Facts, most: int) -> list[Question]:
    questions: list[Question] = []
    for k in rng.permutation(len(facts.bodies)):
        body = int(k)
        candidate = _Candidate("referring", body, _whole_motion(body, facts))
        name = _name(rng, body, facts, plain=True)
        span = _span(candidate, facts)
        if len(questions) == most or name is None or span is None:
            continue
        if facts.motion.moved[body] is Clarity.UNCLEAR or facts.motion.seen[:, body].mean() < 0.5:
            continue
        text = str(rng.choice(REFERRING)).replace("{a}", name)
        question = Question(
            text=text[0].upper() + text[1:],
            type="Referring",
            answer=_full_name(facts.bodies[body]),
            target=body + 1,
            span=span,
            predicate="referring",
            named=(body + 1,),
            name=name,
        )
        questions.append(question)
    return questions


def _whole_motion(k: int, facts: _Facts) -> Segment | None:
    """From the start of a body's first motion to the end of its last; None where it never moves."""
    segments = facts.motion.segments[k]
    if not segments:
        return None
    return replace(segments[0], end=segments[-1].end)


# --- predicates
# ------------------------------------------------------------------------------------

_Rule = Callable[[_Facts], Iterator[_Candidate]]


def _peak_segment(k: int, facts: _Facts) -> Segment:
    return max(facts.motion.segments[k], key=lambda s: s.peak)


def _extremes(facts: _Facts) -> Iterator[_Candidate]:
    """Fastest, slowest and farthest among at least two movers."""
    movers = facts.movers
    if not facts.clear or len(movers) < 2:
        return
    speed = sorted(movers, key=lambda k: facts.motion.peak_speed[k])
    peak = facts.motion.peak_speed
    if peak[speed[-1]] > FASTER * peak[speed[-2]]:
        yield _Candidate("fastest", speed[-1], _peak_segment(speed[-1], facts))
    if peak[speed[1]] > FASTER * peak[speed[0]]:
        yield _Candidate("slowest", speed[0], _peak_segment(speed[0], facts))
    away = np.linalg.norm(facts.motion.shift, axis=1)
    order = sorted(movers, key=lambda k: away[k])
    if away[order[-1]] > FARTHER * away[order[-2]] and facts.motion.seen[:, order[-1]].mean() > 0.8:
        yield _Candidate("farthest", order[-1], _whole_motion(order[-1], facts))


def _judge(values: NDArray[np.float64], bounds: tuple[float, float]) -> list[Clarity]:
    low, high = bounds
    return [
        Clarity.YES if v >= high else Clarity.NO if v <= low else Clarity.UNCLEAR for v in values
    ]


def _only(
    predicate: str, judged: list[Clarity], facts: _Facts, *, none_too: bool = True
) -> Iterator[_Candidate]:
    """The one object of which something is clearly so, or "nothing" where it is so of none."""
    if Clarity.UNCLEAR in judged:
        return
    yes = [k for k, c in enumerate(judged) if c is Clarity.YES]
    if len(yes) == 1 and facts.motion.segments[yes[0]]:
        yield _Candidate(predicate, yes[0], _whole_motion(yes[0], facts))
    elif not yes and none_too:
        yield _Candidate(predicate, None)


def _directions(facts: _Facts) -> Iterator[_Candidate]:
    shift = facts.motion.shift
    for predicate, along in (
        ("left", -shift[:, 0]),
        ("right", shift[:, 0]),
        ("closer", -shift[:, 1]),
        ("away", shift[:, 1]),
    ):
        yield from _only(predicate, _judge(along, SIDEWAYS), facts)


def _heights(facts: _Facts) -> Iterator[_Candidate]:
    upright = np.array([b.shape in TALL_SHAPES for b in facts.bodies])
    # The centre of what falls over is lowered too, but few would say that it dropped.
    fell_over = upright & (facts.motion.tilt > TILT[0]) & (facts.motion.drop > HEIGHT[0])
    drops = _judge(facts.motion.drop, HEIGHT)
    drops = [Clarity.UNCLEAR if f else d for f, d in zip(fell_over, drops, strict=True)]
    for prop in facts.props:
        if prop.kind == "ramp" and prop.body is not None:  # it comes down, but does it drop?
            drops[prop.body] = Clarity.UNCLEAR
    yield from _only("drops", drops, facts)
    yield from _only("rises", _judge(facts.motion.rise, HEIGHT), facts)
    yield from _only("topples", _judge(np.where(upright, facts.motion.tilt, 0), TILT), facts)


def _places(facts: _Facts) -> Iterator[_Candidate]:
    """What comes down a ramp, or lands in a container."""
    for prop in facts.props:
        if prop.kind == "ramp" and prop.body is not None:
            k = prop.body
            if facts.motion.moved[k] is Clarity.NO:
                yield _Candidate("descends", None)
            elif facts.motion.segments[k] and facts.motion.drop[k] >= HEIGHT[1]:
                yield _Candidate("descends", k, facts.motion.segments[k][0])
        elif prop.kind == "container":
            landed = [_lands_in(prop, k, facts) for k in range(len(facts.bodies))]
            yield from _only("lands_in", landed, facts)


def _lands_in(container: Prop, k: int, facts: _Facts) -> Clarity:
    end = np.array(facts.bodies[k].position) + facts.motion.shift[k]
    off = float(np.abs(end[:2] - container.centre).max()) - container.reach
    if off >= NEAR or facts.motion.moved[k] is Clarity.NO:
        return Clarity.NO
    low = end[2] < 2 * container.blocks[0].position[2] + facts.bodies[k].half_extents[2]
    return Clarity.YES if off < 0 and low else Clarity.UNCLEAR


def _nothing_happens(facts: _Facts) -> Iterator[_Candidate]:
    if facts.clear and not facts.movers:
        for predicate in ("first", "last", "stops_last", "fastest", "farthest"):
            yield _Candidate(predicate, None)


def _still(facts: _Facts) -> Iterator[_Candidate]:
    still = [k for k, m in enumerate(facts.motion.moved) if m is Clarity.NO]
    if facts.clear and len(still) == 1:
        yield _Candidate("still", still[0])


def _passages(facts: _Facts) -> Iterator[_Candidate]:
    for predicate, flags in (("leaves", facts.motion.leaves), ("enters", facts.motion.enters)):
        if not facts.motion.seen.any(axis=0).all():
            return
        judged = [Clarity.YES if f else Clarity.NO for f in flags]
        yield from _only(predicate, judged, facts)


def _apart(times: list[float]) -> bool:
    return all(b - a >= ORDER_GAP for a, b in pairwise(times))


def _order(facts: _Facts) -> Iterator[_Candidate]:
    order = facts.in_order()
    if not facts.clear or len(order) < 2:
        return
    onsets = [facts.onset(k) for k in order]
    first = {k: facts.motion.segments[k][0] for k in order}
    if _apart(onsets[:2]):
        yield _Candidate("first", order[0], first[order[0]])
    if _apart(onsets[-2:]):
        yield _Candidate("last", order[-1], first[order[-1]])
        yield _Candidate("after", None, named=order[-1])
    if len(order) > 2 and _apart(onsets[:3]):
        yield _Candidate("second", order[1], first[order[1]])
    for i in range(len(order) - 1):
        if _apart(onsets[max(0, i - 1) : i + 3]):
            yield _Candidate("after", order[i + 1], first[order[i + 1]], named=order[i])
            yield _Candidate("before", order[i], first[order[i]], named=order[i + 1])
    if _apart(onsets[:2]):
        yield _Candidate("before", None, named=order[0])


def _stops(facts: _Facts) -> Iterator[_Candidate]:
    movers = facts.movers
    if not facts.clear or len(movers) < 2:
        return
    ends = {k: facts.motion.segments[k][-1].end for k in movers}
    order = sorted(movers, key=lambda k: ends[k])
    final = float(facts.stamps[-1])
    if facts.motion.leaves.any():
        return
    if ends[order[1]] - ends[order[0]] >= ORDER_GAP:
        yield _Candidate("stops_first", order[0], facts.motion.segments[order[0]][-1])
    if ends[order[-1]] - ends[order[-2]] >= ORDER_GAP or (
        ends[order[-1]] >= final - 0.05 and ends[order[-2]] < final - ORDER_GAP
    ):
        yield _Candidate("stops_last", order[-1], facts.motion.segments[order[-1]][-1])


def _causes(facts: _Facts) -> Iterator[_Candidate]:
    causes, movers = facts.motion.causes, facts.movers
    for k in movers:
        cause = causes[k]
        if cause == k:
            yield _Candidate("cause", None, named=k)
        elif cause is not None:
            yield _Candidate("cause", cause, _segment_at(cause, facts.onset(k), facts), named=k)
    if not facts.clear or any(causes[k] is None for k in movers):
        return
    pushed = [k for k in movers if causes[k] != k]
    pushers = sorted({c for k in movers if (c := causes[k]) is not None and c != k})
    for k in movers:
        mine = [p for p in pushed if causes[p] == k]
        if not mine:
            yield _Candidate("effect", None, named=k)
        elif len(mine) == 1:
            yield _Candidate("effect", mine[0], facts.motion.segments[mine[0]][0], named=k)
    if len(pushed) == 1:
        yield _Candidate("pushed", pushed[0], facts.motion.segments[pushed[0]][0])
    if len(pushers) == 1:
        onset = min(facts.onset(k) for k in pushed)
        yield _Candidate("pusher", pushers[0], _segment_at(pushers[0], onset, facts))
    if not pushed and movers:
        yield _Candidate("pusher", None)
        yield _Candidate("pushed", None)


def _segment_at(k: int, time: float, facts: _Facts) -> Segment:
    """The motion of a body that is going on at a time, or the closest one to it."""
    return min(
        facts.motion.segments[k], key=lambda s: max(s.start - time, 0) + max(time - s.end, 0)
    )


def _removals(facts: _Facts) -> Iterator[_Candidate]:
    """What moves when a mover is taken away, by simulating without it."""
    movers = facts.movers
    if not facts.clear or len(movers) < 2:
        return
    order = facts.in_order()
    speed = facts.motion.peak_speed
    by_speed = sorted(movers, key=lambda k: speed[k])
    for k in movers:
        then = facts.without(k)
        others = [o for o in movers if o != k]
        if any(then[o] is Clarity.UNCLEAR for o in range(len(then)) if o != k):
            continue
        stopped = [o for o in others if then[o] is Clarity.NO]
        going = [o for o in range(len(then)) if o != k and then[o] is Clarity.YES]
        names: list[tuple[str, str, int | None]] = [("without", "still_moves", k)]
        if k == order[0] and _apart([facts.onset(o) for o in order[:2]]):
            names.append(("without_first", "first_still_moves", None))
        if k == by_speed[-1] and speed[k] > FASTER * speed[by_speed[-2]]:
            names.append(("without_fastest", "", None))
        for without, still, named in names:
            yield from _either(without, stopped, facts, named)
            if still and set(going) <= set(others):
                yield from _either(still, going, facts, named)


def _either(
    predicate: str, bodies: list[int], facts: _Facts, named: int | None
) -> Iterator[_Candidate]:
    if len(bodies) == 1:
        segment = facts.motion.segments[bodies[0]][0]
        yield _Candidate(predicate, bodies[0], segment, named=named)
    elif not bodies:
        yield _Candidate(predicate, None, named=named)


_RULES: tuple[_Rule, ...] = (
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
