"""Tasks done in several processes, on this machine or on a Ray cluster, with the results in the order of the tasks.

work        what a task is, and doing it in this process
opening     the workers that a user asks for
processes   workers on this machine
cluster     workers on a Ray cluster
beside      a thread for what is computed while rows are read
"""
