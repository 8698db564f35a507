"""The rules of Pong for B games at once: arrays in, arrays out, no loop over games.

All lengths are whole engine units: the court is 500 wide and 640 high, y points up, and a position
is the lower left corner. The agent has the right paddle; the left one follows the ball by itself.
"""

import numpy as np

COURT_WIDTH, COURT_HEIGHT = 500, 640
PADDLE_WIDTH, PADDLE_HEIGHT, PADDLE_SPEED = 20, 70, 8
BALL = 32
SPEED_X, MAX_SPEED_Y, SPIN = 10, 13, 3
# half a paddle may leave the court
LOWEST, HIGHEST = -PADDLE_HEIGHT // 2, COURT_HEIGHT - PADDLE_HEIGHT // 2
CENTER = (COURT_HEIGHT - PADDLE_HEIGHT) // 2
SERVE_X, SERVE_Y = COURT_WIDTH // 5, (COURT_HEIGHT - BALL) // 2
DIRECTIONS = np.array([0, 1, -1])  # of the actions stay, up, down


class PongCore:
    """B games. Every attribute without underscore is a (B,) int64 array.

    left, right: paddles, -35..605. x, y, vx, vy: the ball; y may leave the court by less than |vy|,
    x on the left by 10. left_score, right_score: points. The speeds of all serves of a game are
    drawn when it begins.
    """

    def __init__(
        self, games: int, points_to_win: int = 5, bounce_reward: float = 0.0, frame_skip: int = 2
    ):
        self.games, self.points_to_win = games, points_to_win
        self.bounce_reward, self.frame_skip = bounce_reward, frame_skip
        self.left, self.right, self.x, self.y, self.vx, self.vy = np.zeros((6, games), np.int64)
        self.left_score, self.right_score = np.zeros((2, games), np.int64)
        self._serves = np.zeros((games, 2 * points_to_win - 1), np.int64)

    def reset(self, games: np.ndarray, generators: list[np.random.Generator]) -> None:
        """Starts the games of these (N,) indices anew; each draws from its own generator."""
        for game, generator in zip(games, generators, strict=True):
            self._serves[game] = generator.integers(-1, 1, self._serves.shape[1])
        self.left_score[games] = self.right_score[games] = 0
        self._serve(games)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`frame_skip` substeps of every game; (rewards (B,) float64, won or lost (B,) bool).

        What is left of a step after a point is dropped: the frame is that of the serve. The last
        event of a step is the one that pays.
        """
        direction = DIRECTIONS[actions]
        rewards, live = np.zeros(self.games), np.ones(self.games, bool)
        for _ in range(self.frame_skip):
            self._move(direction, live)
            at_left, at_right = live & (self.x < 0), live & (self.x > COURT_WIDTH - BALL)
            lost, won = at_right & ~self._meets(self.right), at_left & ~self._meets(self.left)
            self._bounce(at_left & ~won, at_right & ~lost, direction)
            rewards[at_right] = self.bounce_reward
            rewards[won], rewards[lost] = 1.0, -1.0
            self.right_score += won
            self.left_score += lost
            point = won | lost
            if point.any():
                self._serve(point.nonzero()[0])
                live &= ~point
        return rewards, np.maximum(self.left_score, self.right_score) >= self.points_to_win

    def _move(self, direction: np.ndarray, live: np.ndarray) -> None:
        """Both paddles, then the ball, then the walls, in the games that are live."""
        chase = np.clip(self.y - (self.left + PADDLE_HEIGHT // 2), -PADDLE_SPEED, PADDLE_SPEED)
        self.right += PADDLE_SPEED * direction * live
        self.left += chase * live
        np.clip(self.right, LOWEST, HIGHEST, out=self.right)
        np.clip(self.left, LOWEST, HIGHEST, out=self.left)
        self.x += self.vx * live
        self.y += self.vy * live
        outside = live & ((self.y < 0) | (self.y > COURT_HEIGHT - BALL))
        np.negative(self.vy, out=self.vy, where=outside)

    def _meets(self, paddle: np.ndarray) -> np.ndarray:
        return (self.y + BALL > paddle) & (self.y < paddle + PADDLE_HEIGHT)

    def _bounce(self, left: np.ndarray, right: np.ndarray, direction: np.ndarray) -> None:
        """Turns the balls round; the right paddle gives spin
        by its movement, and never a level ball.
        """
        np.negative(self.vx, out=self.vx, where=left | right)
        spun = np.clip(self.vy + SPIN * direction, -MAX_SPEED_Y, MAX_SPEED_Y)
        spun[spun == 0] = SPIN
        np.copyto(self.vy, spun, where=right)
        np.copyto(self.x, COURT_WIDTH - BALL, where=right)
        np.copyto(self.y, np.clip(self.y, 0, COURT_HEIGHT - BALL), where=right)

    def _serve(self, games: np.ndarray) -> None:
        """Paddles and ball as a round begins."""
        played = np.minimum(
            self.left_score[games] + self.right_score[games], self._serves.shape[1] - 1
        )
        self.left[games] = self.right[games] = CENTER
        self.x[games], self.y[games], self.vx[games] = SERVE_X, SERVE_Y, SPEED_X
        self.vy[games] = self._serves[games, played]
