"""Roles and policies, kept and returned. There is one owner, so nothing is decided by them.

https://docs.aws.amazon.com/IAM/latest/APIReference/
"""
