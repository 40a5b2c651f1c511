"""The growing pass: knock-outs side by side, up the layers from an untouched pass.

changes     what is done to heads and layers, to which tokens
prefill     one untouched pass, kept as far as knock-outs need it
attention   attention of sequences that share a prefix, with some heads changed
growth      up the layers, with ever more knock-outs side by side
"""
