"""Features whose work a library does, on whole Arrow columns, before the compiled kernels: regular expressions, tokenizers, Unicode.

A *host stage* (`stage.py`) turns one column into another, once per call. What follows it (bucketizer, prefix, embedding) is compiled and
reads the new column like one of the request's own.
"""
