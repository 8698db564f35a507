"""Playing games and recording them."""
