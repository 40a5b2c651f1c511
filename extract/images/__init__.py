"""Image files -> what a model reads.

decoding           files or bytes -> RGB and a hash, or the reason why not
fingerprint        image files -> what tells whether they have changed
preprocessing      RGB -> the inputs of a vision tower, and the tokens that stand for the image
towers, processors the same for a vision tower of one size; the same by a checkpoint's own processor
tiling, patch_positions   which pictures that makes of an image; where in the image their tokens lie
counterfactual/    images in place of others: altered, swapped
loading            all of it in worker processes
"""
