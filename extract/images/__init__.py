"""Image files -> what a model reads.

decoding        files or bytes -> RGB and a hash, or the reason why not
fingerprint     image files -> what tells whether they have changed
preprocessing   RGB -> the inputs of a vision tower, and the tokens that stand for the image
processors      the same by a checkpoint's own processor
counterfactual  blank, noise or shuffled patches in place of an image
swapping        which other image is shown in place of each
tiles           the same by the tiles of a released LLaVA-1.6
loading         all of it in worker processes
"""
