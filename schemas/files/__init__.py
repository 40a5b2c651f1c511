"""Files, on this machine or on an object store, that may be damaged or written by several processes.

locations      where a run lies: a directory, or a prefix of an object store
json_objects   JSON read into an object or a dataclass
parquet        Parquet opened and read
ranges         values in the ranges of their columns
pictures       the images of a question, as rows of `samples` have them
images         the content of image files, decoded
locks          locks between processes that end with their owner
writing        files that readers see only when they are whole
"""
