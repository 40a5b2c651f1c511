"""What attention and MLPs add to the residual stream of the tokens, and what that does to the answer.

decoder         the modules of a language model that add to its residual stream
stream          what they add to the last tokens, read while a forward pass runs
contributions   -> what each head, MLP and the embedding contribute to the margin
profile         -> how much each layer changes the tokens, and the margin after it
tables          both as tables of a run
removal, sizes  heads and layers taken out of a model; how large its parts are
"""
