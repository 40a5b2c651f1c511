"""Commands about what the heads of a run do: `maps`, `mentions`, `prune`, `text`, `words`."""
