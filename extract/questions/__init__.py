"""Question files -> samples.

question_set   a file of any form -> its samples and where their images are: what the rest of this stage takes
hub            a dataset on the hub -> its files on this machine
fields         the names that fields have in question files -> those of MME_test.json, options and hints
content        columns, chats, options and right answers, faults of rows
unread         what files have beside what is asked
stored_images  images that a question file holds itself
text_files     JSON, JSON lines, CSV and TSV -> rows
parquet        Parquet files -> rows, and the bytes of their images
releases       the folder of MME's release -> rows, or answers; AMBER's answers
samples        rows -> samples
"""
