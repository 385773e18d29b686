# SPDX-License-Identifier: Apache-2.0
"""Questions that nothing in the picture answers: about absent objects, other worlds, or nothing.

A tenth of the nouns and sentences is held out, as with :mod:`groundmore_ros.simulation.rewording`.
"""

from numpy.random import Generator

from groundmore_ros.simulation.rewording import paraphrase, reword, templates_of
from groundmore_ros.simulation.wording import TEMPLATES
from groundmore_ros.simulation.world import COLOURS, SHAPES

__all__ = ["unrelated"]

# The last tenth is held out.
_NOUNS = (
    "dog cat horse cow bird fish elephant giraffe lion tiger rabbit mouse spider monkey chicken "
    "duck man woman child boy girl player dancer driver cook teacher nurse soldier king baby "
    "crowd person car truck bicycle train bus boat plane scooter tram rocket tractor wheelchair "
    "table chair sofa lamp bed shelf door window mirror curtain carpet clock telephone laptop "
    "keyboard television camera book newspaper pen pencil bag suitcase umbrella hat shoe shirt "
    "glove ring watch apple banana pizza bread cake egg sandwich soup salad cheese carrot onion "
    "bottle cup glass plate fork spoon knife pan kettle stove fridge sink tap towel bucket broom "
    "tree flower grass river mountain cloud sun moon star beach bridge road house church tower "
    "fence hammer saw ladder rope wheel engine battery cable robot drone balloon kite doll piano "
    "guitar drum basketball racket net goal bat helmet whistle zebra penguin violin tent anchor "
    "wallet candle firefighter pumpkin helicopter skateboard toaster"
)
NOUNS = tuple(_NOUNS.split())
SENTENCES = (
    "What is the capital of France?",
    "What is the weather like today?",
    "How do I get to the station?",
    "What time is it?",
    "Who won the election?",
    "What is two plus two?",
    "Tell me a joke.",
    "Who wrote this song?",
    "When does the shop open?",
    "How old are you?",
    "Where do you live?",
    "Which team scored the last goal?",
    "Who is singing?",
    "What does the sign say?",
    "Which language is spoken here?",
    "How much does it cost?",
    "Who is the president?",
    "What is for dinner?",
    "Can you write a poem?",
    "Translate this sentence into Spanish.",
    "Is it going to rain tomorrow?",
    "Who dribbled before he passed to the man in pink?",
    "What did she say to her friend?",
    "Why is the sky blue?",
    "How many people live in Tokyo?",
    "Which chapter comes after this one?",
    "Who is laughing?",
    "What smells so good?",
    "Which instrument is being played?",
    "Turn off the lights.",
    "Play some music.",
    "What is the meaning of life?",
    "Who opened the window?",
    "What is the best way to learn to swim?",
    "How do you spell your name?",
    "Which stock should I buy?",
    "Hello, how are you?",
    "Good morning.",
    "Thank you very much.",
    "What is written in the book?",
    "Who is the tallest player?",
    "Where did I leave my keys?",
    "What is the password?",
    "Who is cooking?",
    "When was the war over?",
    "Which road leads to the sea?",
    "Explain gravity to me.",
    "What is the name of this city?",
    "Who shouted?",
    "Does she like him?",
)
_SYLLABLES = "ba ko ri mu ten sol fa qui zor plex dra nim ost wug ghee vle tri"
SYLLABLES = _SYLLABLES.split()


def unrelated(rng: Generator, looks: list[tuple[str, str]], wordings: str = "known") -> str:
    """A question to which "nothing" is the right answer.

    Args:
        rng: decides.
        looks: colour and shape of every object of the scene.
        wordings: ``known``, ``held-out`` or ``all``.
    """
    kind = rng.choice(["absent", "foreign", "sentence", "babble"], p=[0.4, 0.35, 0.2, 0.05])
    if kind == "sentence":
        return paraphrase(rng, _pick(rng, SENTENCES, wordings), wordings)
    if kind == "babble":
        words = [
            "".join(rng.choice(SYLLABLES, rng.integers(1, 4))) for _ in range(rng.integers(1, 6))
        ]
        return str(" ".join(words).capitalize() + "?")
    name = f"the {_absent(rng, looks)}" if kind == "absent" else _foreign(rng, wordings)
    predicates = [p for p, group in TEMPLATES.items() if any("{a}" in t for t in group)]
    predicate = "referring" if rng.random() < 0.5 else str(rng.choice(predicates))
    if kind == "foreign" and rng.random() < 0.3:
        return paraphrase(rng, _with_noun(rng, name, wordings), wordings)
    return reword(rng, predicate, name, wordings)


def _pick(rng: Generator, pool: tuple[str, ...], wordings: str) -> str:
    kept = len(pool) - len(pool) // 10
    allowed = {"known": pool[:kept], "held-out": pool[kept:], "all": pool}[wordings]
    return allowed[int(rng.integers(len(allowed)))]


def _absent(rng: Generator, looks: list[tuple[str, str]]) -> str:
    """A colour and shape, or one of them, that no object has."""
    colours = [c for c in COLOURS if all(c != colour for colour, _ in looks)]
    shapes = [s for s in SHAPES if all(s != shape for _, shape in looks)]
    choice = rng.random()
    if choice < 0.3:
        return f"{rng.choice(colours)} {rng.choice(['object', 'thing', 'one'])}"
    if choice < 0.4 and shapes:
        return str(rng.choice(shapes))
    pairs = [(c, s) for c in COLOURS for s in SHAPES if (c, s) not in looks]
    colour, shape = pairs[int(rng.integers(len(pairs)))]
    return f"{colour} {shape}"


def _foreign(rng: Generator, wordings: str) -> str:
    noun = _pick(rng, NOUNS, wordings)
    if rng.random() < 0.4:
        noun = f"{rng.choice(list(COLOURS))} {noun}"
    return f"the {noun}"


def _with_noun(rng: Generator, name: str, wordings: str) -> str:
    """Ask which dog falls over."""
    named = [
        (template, word)
        for predicate in TEMPLATES
        for template in templates_of(predicate, wordings)
        for word in ("object", "thing", "one")
        if "{a}" not in template and "{b}" not in template and f"Which {word}" in template
    ]
    template, word = named[int(rng.integers(len(named)))]
    return template.replace(f"Which {word}", f"Which {name.removeprefix('the ')}")
