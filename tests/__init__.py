"""A package, so that none of this name hides it that an installed package brought along."""
