"""Two runs, or more, compared.

pairing      which sample of one run is which of another; the settings that differ
answers      accuracy and score, with paired intervals by image
heads        head by head, where that has a meaning
comparison   all of it; where attention goes: means, distributions, profiles, heads in order; distances of several runs
verdict      what these tables say, a sentence each
sentences    the words of these sentences, in English and in Chinese
"""
