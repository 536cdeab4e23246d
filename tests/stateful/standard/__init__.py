"""A small model of PKCS#11 3.2: what a token may answer to each call, and what it then is like.

It imports nothing of ours. Each function stands for one of the standard's and tells what that
clause lets a module answer; where more than one fault is true, any of them is right (§5.1.7).
"""
