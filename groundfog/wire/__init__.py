"""The wire SPEAKS AWS: HTTP as its clients write it, to and from plain dicts.

Everything here follows from botocore's service models; nothing here knows what any operation means.
"""
