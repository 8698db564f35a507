"""What evaluation knows of each world."""
