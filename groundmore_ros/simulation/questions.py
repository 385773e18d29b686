# SPDX-License-Identifier: Apache-2.0
"""Questions with exact answers about a simulated episode: which of all that may be asked are."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from groundmore_ros.simulation.motion import Clarity, Motion
from groundmore_ros.simulation.predicates import Candidate, Events, candidates
from groundmore_ros.simulation.rewording import look_name, reword
from groundmore_ros.simulation.settings import EpisodeSettings
from groundmore_ros.simulation.unrelated import unrelated
from groundmore_ros.simulation.wording import REFERRING, TEMPLATES, TYPE_OF
from groundmore_ros.simulation.world import Body, Scene

__all__ = ["MOTION_TYPES", "Question", "QuestionType", "ask"]

QuestionType = Literal["Causal", "Sequential", "Counterfactual", "Descriptive", "Referring"]
MOTION_TYPES: tuple[QuestionType, ...] = ("Causal", "Sequential", "Counterfactual", "Descriptive")

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
    events = Events(motion, scene.bodies, scene.props, stamps, without)
    # Where nothing happens there is nothing else to ask.
    none_share = settings.no_answer_share if scene.actions else 1.0
    usable = [c for c in candidates(events) if c.target is None or _span(c, events) is not None]
    questions: list[Question] = []
    for kind in MOTION_TYPES:
        mine = [c for c in usable if TYPE_OF[c.predicate] == kind]
        further = MORE_SHARE.get(kind, 1.0)
        most = 1 + int((rng.random(settings.questions_per_type - 1) < further).sum())
        for candidate in _choose(rng, mine, events, most, none_share):
            question = _word(rng, candidate, events)
            if question is not None:
                questions.append(question)
    questions += _referring(rng, events, settings.referring_questions)
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
    rng: Generator, found: list[Candidate], events: Events, most: int, none_share: float
) -> list[Candidate]:
    """Up to ``most`` candidates of different predicates, trivial ones thinned out."""
    chosen: list[Candidate] = []
    answered = [
        c
        for c in found
        if c.target is not None and (not _easy(c, events) or rng.random() < EASY_KEPT)
    ]
    unanswered = [c for c in found if c.target is None]
    for _ in range(most):
        pool = unanswered if rng.random() < none_share else answered
        used = {c.predicate for c in chosen}
        kinds = sorted({c.predicate for c in pool} - used)
        if kinds:
            kind = kinds[int(rng.integers(len(kinds)))]
            same = [c for c in pool if c.predicate == kind]
            chosen.append(same[int(rng.integers(len(same)))])
    return chosen


def _easy(candidate: Candidate, events: Events) -> bool:
    """Whether the fastest object that is not named, or the largest motion, is the answer."""
    speed = events.motion.peak_speed.copy()
    if candidate.named is not None:
        speed[candidate.named] = -1
    path = events.motion.image_path
    return candidate.target in (int(speed.argmax()), int(path.argmax()))


def _span(candidate: Candidate, events: Events) -> tuple[float, float] | None:
    """First to last frame of the motion; None where too little of it is to be seen."""
    stamps, target = events.stamps, candidate.target
    if target is None:
        return None
    segment = candidate.segment
    if segment is None:
        active = np.ones(len(stamps), bool)
    else:
        active = (stamps >= segment.start) & (stamps <= segment.end)
    seen = events.motion.seen[:, target]
    frames = np.flatnonzero(active & seen)
    if len(frames) < LEAST_SPAN:
        return None
    inside = slice(frames[0], frames[-1] + 1)
    if seen[inside].mean() < SEEN_SHARE or seen[active].mean() < SEEN_SHARE / 2:
        return None
    return float(stamps[frames[0]]), float(stamps[frames[-1]])


def _full_name(body: Body) -> str:
    return f"the {body.colour} {body.shape}"


def _name(rng: Generator, k: int, events: Events, *, plain: bool = False) -> str | None:
    """A phrase that only object k fits, or None where there is none."""
    looks = [(b.colour, b.shape) for b in events.bodies]
    if looks.count(looks[k]) > 1:
        return None
    place = None if plain else _place_name(k, events)
    if place and rng.random() < PLACE_NAMED:
        return place
    return look_name(rng, k, looks)


def _place_name(k: int, events: Events) -> str | None:
    """The object that is leftmost (or rightmost) at the start, where that is clear."""
    if not events.motion.seen[0].all():
        return None
    x = np.array([b.position[0] for b in events.bodies])
    others = np.delete(x, k)
    if x[k] < others.min() - 0.08:
        return "the object that is leftmost at the start"
    if x[k] > others.max() + 0.08:
        return "the object that is rightmost at the start"
    return None


def _word(rng: Generator, candidate: Candidate, events: Events) -> Question | None:
    name = ""
    if candidate.named is not None:
        if not events.motion.seen[:, candidate.named].mean() >= 0.3:
            return None
        name = _name(rng, candidate.named, events) or ""
        if not name:
            return None
    template = str(rng.choice(TEMPLATES[candidate.predicate]))
    text = template.replace("{a}", name)
    target = candidate.target
    return Question(
        text=text[0].upper() + text[1:],
        type=TYPE_OF[candidate.predicate],  # type: ignore[arg-type]
        answer="nothing" if target is None else _full_name(events.bodies[target]),
        target=None if target is None else target + 1,
        span=_span(candidate, events),
        predicate=candidate.predicate,
        named=() if candidate.named is None else (candidate.named + 1,),
        name=name,
    )


def _referring(rng: Generator, events: Events, most: int) -> list[Question]:
    questions: list[Question] = []
    for k in rng.permutation(len(events.bodies)):
        body = int(k)
        candidate = Candidate("referring", body, events.whole_motion(body))
        name = _name(rng, body, events, plain=True)
        span = _span(candidate, events)
        if len(questions) == most or name is None or span is None:
            continue
        if events.motion.moved[body] is Clarity.UNCLEAR or events.motion.seen[:, body].mean() < 0.5:
            continue
        text = str(rng.choice(REFERRING)).replace("{a}", name)
        question = Question(
            text=text[0].upper() + text[1:],
            type="Referring",
            answer=_full_name(events.bodies[body]),
            target=body + 1,
            span=span,
            predicate="referring",
            named=(body + 1,),
            name=name,
        )
        questions.append(question)
    return questions
