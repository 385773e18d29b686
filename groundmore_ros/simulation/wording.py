# SPDX-License-Identifier: Apache-2.0
"""How questions are put: templates by what is asked. ``{a}`` is the object that is named.

Several templates name no object at all and refer to events instead, so that a colour word is not
always there to lean on.
"""

__all__ = ["REFERRING", "TEMPLATES", "TYPE_OF"]

DESCRIPTIVE: dict[str, tuple[str, ...]] = {
    "fastest": (
        "Which object moves the fastest?",
        "What is the fastest thing here?",
        "Which one reaches the highest speed?",
        "What moves quicker than everything else?",
        "Point out the fastest mover.",
        "Which item is the speediest?",
    ),
    "slowest": (
        "Which of the moving objects is the slowest?",
        "What moves, but slower than the other movers?",
        "Which moving thing has the lowest top speed?",
        "Among the things that move, which is slowest?",
    ),
    "farthest": (
        "Which object travels the farthest?",
        "What covers the longest distance?",
        "Which thing ends up farthest from where it was?",
        "What has moved the most by the end?",
    ),
    "left": (
        "Which object moves to the left?",
        "What goes left?",
        "Which thing ends up further left than it began?",
        "What is travelling toward the left side?",
        "Which one heads left?",
    ),
    "right": (
        "Which object moves to the right?",
        "What goes right?",
        "Which thing ends up further right than it began?",
        "What is travelling toward the right side?",
        "Which one heads right?",
    ),
    "closer": (
        "Which object comes closer to the camera?",
        "What moves toward the viewer?",
        "Which thing approaches us?",
        "What is coming nearer?",
    ),
    "away": (
        "Which object moves away from the camera?",
        "What recedes from the viewer?",
        "Which thing goes further back?",
        "What is moving into the distance?",
    ),
    "topples": (
        "Which object falls over?",
        "What tips over?",
        "Which thing topples?",
        "What ends up lying on its side?",
        "Which one is knocked or pushed over?",
    ),
    "drops": (
        "Which object drops down?",
        "What falls from a height?",
        "Which thing loses height?",
        "What comes down onto something lower?",
        "Which one falls down?",
    ),
    "rises": (
        "Which object is thrown up?",
        "What goes up into the air?",
        "Which thing leaves the ground?",
        "What jumps upward?",
    ),
    "descends": (
        "Which object comes down the ramp?",
        "What slides or rolls down the slope?",
        "Which thing runs down the incline?",
        "What goes downhill?",
        "Which one leaves the top of the ramp?",
    ),
    "lands_in": (
        "Which object lands in the container?",
        "What drops into the open box?",
        "Which thing ends up inside the tray?",
        "What falls into the bin?",
        "Which one is caught by the container?",
    ),
    "still": (
        "Which object never moves?",
        "What stays where it is the whole time?",
        "Which thing remains still?",
        "What is the only object that keeps its place?",
        "Which one does not move at all?",
        "What stands still from beginning to end?",
    ),
    "leaves": (
        "Which object leaves the view?",
        "What goes out of the picture?",
        "Which thing disappears from sight?",
        "What exits the scene?",
    ),
    "enters": (
        "Which object comes into view?",
        "What enters the picture?",
        "Which thing was not there in the beginning?",
        "What arrives from outside?",
    ),
}

SEQUENTIAL: dict[str, tuple[str, ...]] = {
    "first": (
        "Which object moves first?",
        "What starts to move before everything else?",
        "Which thing is the first to be in motion?",
        "What begins the action?",
        "Which one sets off earliest?",
        "What is moving before anything else does?",
    ),
    "second": (
        "Which object is the second to move?",
        "What starts moving second?",
        "Which thing sets off right after the first mover?",
        "What is next to move after the first one?",
        "Which one is second in the order of motion?",
    ),
    "last": (
        "Which object moves last?",
        "What is the last thing to start moving?",
        "Which one sets off after all the others?",
        "What begins to move at the very end?",
        "Which thing starts latest?",
        "What is the final object to get going?",
    ),
    "after": (
        "Which object starts to move right after {a}?",
        "What moves next after {a} sets off?",
        "Once {a} is in motion, what is next to move?",
        "What begins to move following {a}?",
        "After {a} starts, which thing starts next?",
        "Which one follows {a} in the order of moving?",
        "{a} sets off; which object is the next one?",
    ),
    "before": (
        "Which object starts to move right before {a}?",
        "What moved just before {a} did?",
        "Before {a} got going, what was the previous thing to start?",
        "Which one precedes {a} in the order of moving?",
        "What set off just ahead of {a}?",
        "{a} starts to move; which object had started just before it?",
    ),
    "stops_first": (
        "Which moving object stops first?",
        "What comes to rest before the other movers?",
        "Which mover is the first to be still again?",
        "What stops moving earliest?",
    ),
    "stops_last": (
        "Which object stops last?",
        "What is the last thing still moving?",
        "Which mover comes to rest after all others?",
        "What keeps moving the longest into the clip?",
    ),
}

CAUSAL: dict[str, tuple[str, ...]] = {
    "cause": (
        "What made {a} move?",
        "Why did {a} start to move?",
        "Which object set {a} in motion?",
        "What is responsible for the motion of {a}?",
        "What pushed {a}?",
        "Who is to blame for {a} moving?",
        "{a} moves because of which object?",
        "What got {a} going?",
        "Which thing gave {a} a push?",
        "By what was {a} moved?",
    ),
    "effect": (
        "What did {a} set in motion?",
        "Which object did {a} push?",
        "What moves because of {a}?",
        "What did {a} make move?",
        "Which thing was moved by {a}?",
        "What does {a} get going?",
        "Which one starts to move since {a} touched it?",
        "{a} causes the motion of which object?",
        "What received a push from {a}?",
        "Whose motion is due to {a}?",
    ),
    "pusher": (
        "Which object makes another one move?",
        "What pushes something else?",
        "Which thing sets another in motion?",
        "What causes a motion that is not its own?",
        "Which one hits something and moves it?",
        "What is the cause of another object's motion?",
    ),
    "pushed": (
        "Which object moves only because something else made it move?",
        "What is set in motion by another object?",
        "Which thing gets pushed?",
        "What did not start to move by itself?",
        "Which one was hit and then moved?",
        "What is moved by a collision?",
        "Which object is pushed by another?",
    ),
}

COUNTERFACTUAL: dict[str, tuple[str, ...]] = {
    "without": (
        "What would not have moved without {a}?",
        "If {a} had not been there, what would have stayed still?",
        "Which object would have kept its place if {a} were removed?",
        "Take {a} away: which thing no longer moves?",
        "What would have remained at rest in the absence of {a}?",
        "Without {a}, which object would not have moved?",
        "Had {a} been missing, what would have stayed put?",
        "Which thing needed {a} in order to move?",
        "Imagine the scene without {a}; what would stand still?",
        "If we removed {a}, which motion would not happen?",
        "What only moves if {a} is present?",
        "Suppose {a} was never there: which object would not have moved?",
    ),
    "still_moves": (
        "If {a} had not been there, which object would still have moved?",
        "Without {a}, what would have moved all the same?",
        "Take {a} away: which thing moves anyway?",
        "What moves whether or not {a} is there?",
        "Had {a} been missing, what would still be in motion?",
        "Imagine the scene without {a}; what would move nevertheless?",
        "Which motion does not depend on {a}?",
        "If we removed {a}, which object would go on to move?",
        "What would have moved even in the absence of {a}?",
        "Suppose {a} was never there: which object would move regardless?",
    ),
    "without_first": (
        "If the first object to move had not been there, what would have stayed still?",
        "Without the first mover, which object would not have moved?",
        "Take away whatever moves first: which thing no longer moves?",
        "Had the earliest mover been missing, what would have stayed put?",
        "What would not have moved if the first mover had been removed?",
    ),
    "without_fastest": (
        "Without the fastest object, what would have stayed still?",
        "If the fastest thing had not been there, which object would not have moved?",
        "Take the fastest mover away: what no longer moves?",
        "Had the quickest object been missing, what would have stayed put?",
    ),
    "first_still_moves": (
        "If the first object to move had not been there, which one would still have moved?",
        "Without the first mover, what would have moved all the same?",
        "Take away whatever moves first: which thing moves anyway?",
        "Suppose the earliest mover was never there: which object would move regardless?",
    ),
}

REFERRING: tuple[str, ...] = (
    "{a}",
    "Where is {a}?",
    "Show me {a}.",
    "Segment {a}.",
    "Find {a}.",
    "Which pixels belong to {a}?",
    "Follow {a}.",
    "Mark {a} in every frame.",
)

TEMPLATES: dict[str, tuple[str, ...]] = DESCRIPTIVE | SEQUENTIAL | CAUSAL | COUNTERFACTUAL
TYPE_OF: dict[str, str] = {
    **dict.fromkeys(DESCRIPTIVE, "Descriptive"),
    **dict.fromkeys(SEQUENTIAL, "Sequential"),
    **dict.fromkeys(CAUSAL, "Causal"),
    **dict.fromkeys(COUNTERFACTUAL, "Counterfactual"),
}
