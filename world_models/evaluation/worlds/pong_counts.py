"""How many balls and paddles a frame of Pong shows, wherever they are.

N frames, S pixels a side.
"""

import numpy as np

from world_models.evaluation.shape_counts import find_shapes

# in units of the engine, written apart from the game: the whole frame, a ball, a paddle
WIDTH, HEIGHT, BALL, PADDLE = 540, 640, 32, 70
STRIP = 4  # rows of the score at 64 pixels; the small frames have none
WHITE = 48  # a pixel of the ball has more in each channel; paddles and pips lack a channel
STRONG = 100  # gray levels by which a paddle's color stands out in a pixel that it covers
LEAST_SHARE = 0.3  # of a ball's or paddle's pixels; what is smaller is none


def count_balls_and_paddles(frames: np.ndarray) -> dict[str, np.ndarray]:
    """{"balls", "left_paddles", "right_paddles"}: (N,) int64 of frames (N, S, S, 3) uint8.

    Shapes of white, red and cyan pixels below the score. Two balls that touch have the mass of
    two. What is small counts as nothing: a ball that fades is missing.
    """
    size = frames.shape[1]
    top = STRIP if size == 64 else 0
    row = HEIGHT / (size - top)  # units per row of pixels
    court = frames[:, top:].astype(np.int16)
    red, other = court[..., 0], court[..., 1:].min(-1)
    white = np.minimum(red, other)
    ball = BALL / (WIDTH / size) * BALL / row  # pixels
    shapes = find_shapes(white > WHITE, white / 255)
    large, times = shapes.mass > LEAST_SHARE * ball, np.maximum(1, np.round(shapes.mass / ball))
    counts = {"balls": shapes.counts(len(frames), large, times)}
    # a ball over a paddle does not part it: its white is as red and as cyan as the paddle
    lacks = court[..., 1:].max(-1) - red
    masks = {"left_paddles": -lacks > STRONG, "right_paddles": other - red > STRONG}
    for name, mask in masks.items():
        found = find_shapes(mask)
        counts[name] = found.counts(len(frames), found.area > LEAST_SHARE * PADDLE / row)
    return counts
