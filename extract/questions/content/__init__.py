"""What is in the questions of a file, beside the fields of each row.

chats       `messages`, as chat models are asked -> rows
choices     options in the text of questions; right answers that are numbers; what cannot be scored
columns     columns that a user gives the names of fields
faults      rows that cannot be read, or fields of them
placing     where the text of a question places its images
"""
