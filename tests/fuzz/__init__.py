"""Files that were damaged at random must load or be refused by a sentence of ours."""
