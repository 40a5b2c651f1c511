"""The tables of a run that a forward pass makes: masses, contributions, layers, maps.

makers         which tables are asked for, and what makes them: one list
maker          what a maker is; that of the masses
residual       `contributions` and `layers`, from the residual stream
decoder        the modules of a language model that add to its residual stream
stream         what they add to the last tokens, read while a forward pass runs
contributions  -> what each head, MLP and the embedding contribute to the margin
maps           `maps`: whose attention, of which heads, and where the tokens of images lie
map_reader     attention on image tokens -> maps and their numbers; visual sinks
chosen_heads   which heads keep their maps
"""
