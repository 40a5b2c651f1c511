"""Commands about what a run answers: `diagnose`, `image`, `prompts`, `answers`."""
