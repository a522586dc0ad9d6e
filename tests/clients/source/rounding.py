"""What the scripts beside it import: a source directory is more than its entry point."""


def rounded(number):
    return round(number, 2)
