"""Serve a user's inference code as AWS's inference toolkits do: `python -m groundfog.opt_ml.inference TOOLKIT`.

    __main__        front and workers, put together
    front           HTTP: GET /ping, POST /invocations
    pool            workers: so many processes, each request to an idle one, who dies or hangs is replaced
    frames          what front and worker say to one another
    worker          a process with the user's module in it: one request at a time
    module          where the user's module is
    handler         the user's functions, called as the toolkits call them, and what becomes of what they return
    context         what a function that asks for it is told about its request
    defaults/       a toolkit is a module of the functions that it has where the user has none

The front runs in our own Python; a worker may run in another, which needs nothing but its standard library.
"""
