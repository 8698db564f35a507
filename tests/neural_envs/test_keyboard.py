"""From pressed keys to actions."""

import pygame

from neural_envs.play import keyboard
from neural_envs.play.keyboard import Keys
from neural_envs.play.window import RESERVED
from tests.neural_envs.walk_doubles import ARROWS, DOWN, LEFT, RIGHT, UP


def test_the_codes_of_arrows_are_those_of_pygame():
    assert keyboard.ARROWS == {
        name: getattr(pygame, f"K_{name.upper()}") for name in ("up", "down", "left", "right")
    }


def test_a_held_key_acts_and_without_a_key_the_last_action_goes_on():
    keys = Keys(ARROWS)
    assert keys.next_action() is None
    keys.press(pygame.K_LEFT)
    assert [keys.next_action() for _ in range(3)] == [LEFT] * 3
    keys.release(pygame.K_LEFT)
    assert keys.next_action() == LEFT


def test_where_the_table_has_an_action_for_no_keys_that_one_is_idle():
    keys = Keys({**ARROWS, (): 4})
    assert keys.next_action() == 4
    keys.press(pygame.K_UP)
    keys.release(pygame.K_UP)
    assert [keys.next_action(), keys.next_action()] == [UP, 4]


def test_two_quick_taps_between_steps_both_act_in_order():
    keys = Keys(ARROWS)
    for tap in (pygame.K_UP, pygame.K_LEFT):
        keys.press(tap)
        keys.release(tap)
    assert [keys.next_action() for _ in range(3)] == [UP, LEFT, LEFT]


def test_the_latest_key_wins_and_a_combination_wins_over_its_parts():
    keys = Keys({**ARROWS, (pygame.K_UP, pygame.K_RIGHT): 5})
    keys.press(pygame.K_RIGHT)
    keys.press(pygame.K_LEFT)
    assert [keys.next_action(), keys.next_action(), keys.next_action()] == [RIGHT, LEFT, LEFT]
    keys.release(pygame.K_LEFT)
    keys.press(pygame.K_UP)
    assert keys.next_action() == 5


def test_letters_give_way_to_commands_unless_an_action_has_no_other_key():
    both = Keys({**ARROWS, ("w",): UP, ("s",): DOWN, ("a",): LEFT, ("d",): RIGHT}, RESERVED)
    assert not any(both.knows(ord(letter)) for letter in "wasd") and both.knows(pygame.K_DOWN)
    letters = Keys({"w": UP, "s": DOWN}, RESERVED)
    assert letters.knows(ord("s")) and letters.knows(ord("w"))
