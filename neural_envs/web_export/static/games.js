// The real games that fit on a screen each, by world: a function of the list's row and of what loads a file of the site.
export const GAMES = {};
