"""Dreams as small files that can be dreamed again."""
