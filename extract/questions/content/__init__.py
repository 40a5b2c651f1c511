"""What a whole question file says, beside what each of its rows says of its own.

chats       `messages`, as chat models are asked -> rows
choices     options in the text of questions; right answers that are numbers; what cannot be scored
columns     columns that a user gives the names of fields
faults      rows that cannot be read, or fields of them
"""
