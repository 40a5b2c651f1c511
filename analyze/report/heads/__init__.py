"""What is said of heads beside their numbers.

sureness     which heads are told from 0, whether their order is noise, which one is first; in words
localising   how compact the maps of each head are
"""
