"""What a whole question file says, beside what each of its rows says of its own.

choices     options in the text of questions; right answers that are numbers; what cannot be scored
faults      rows that cannot be read, or fields of them
"""
