"""Question files -> samples.

hub       a dataset on the hub -> its files here
formats   every form of question file -> rows
release   the folder of MME's release -> rows, or answers
parquet   Parquet files -> rows, and the bytes of their images
samples   rows -> samples, by image and by chunk
"""
